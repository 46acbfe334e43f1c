"""Commands of the devices: one file each."""
