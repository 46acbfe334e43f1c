"""Measures the product against its limits: `make bench`.

Each figure is a ratio of two things measured in turn inside one run, the product and a limit on the same data and
server, so that it means the same on another machine. `stage` starts throwaway services, `fleet` builds the devices,
`rounds` measures and compares, one module a row of the table, `report` tells.
"""
