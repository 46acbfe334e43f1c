"""The overview: figures that somebody would act on, each a link to the rows behind it.

It reads what sweeps have counted ahead and never scans a table of devices, services or orders itself. `figures` reads,
`links` knows the lists' addresses, `charts` lays out pictures with their numbers, `start` is the way of a new
enterprise, `overview` composes the page.
"""
