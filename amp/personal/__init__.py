"""Personal data (X6): where it may stand, whose it is, what one person is given of it, and how it is forgotten.

`columns` declares every column of text; `rewriting` is the rule that replaces a person's traces in one value; `persons`
finds whom a request is about; `rows` finds what is held, `exporting` and `erasing` serve the two rights.
"""
