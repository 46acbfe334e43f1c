"""Use cases of the devices: registration, presence, lifecycle, renewal, commands and their dispatch."""
