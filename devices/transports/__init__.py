"""Transports: how the platform talks to devices.

Owns the wire: sockets, MQTT packets, acknowledgements, the broker's password and ACL files. `base` says in our
vocabulary what dispatch may ask of any transport; one file per implementation keeps that promise, and `recorded`
keeps it in memory. Nothing here knows Django, a model, a rule or a tenant, and nothing here reads a clock: the
listener is given the stamp it puts on messages. Services and the bridge may import this room; it imports none of ours.
"""
