"""Commands of the roof: one file each."""
