"""Lists that people work in, flat at a million rows; the same machinery for each of them.

`keyset` reads pages without OFFSET, `counts` says how many there are, `filters` holds what a FilterSet of ours does,
`changelist` puts these into the admin's list, `columns` and `sheets` write CSV and XLSX, `exporting` is their page.
It knows no table of an app: those bring a FilterSet, orderings and columns.
"""
