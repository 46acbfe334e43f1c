"""Input shapes of devices: `registration` of one, `imports` of files, `uploads` cut to size, `validities`.

`import_words` says what is wrong with a file.
"""
