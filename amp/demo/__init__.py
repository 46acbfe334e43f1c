"""The demo: the product on one machine with nothing installed, and devices that behave like real ones.

Owns the embedded broker, the simulated devices and the way they are started and stopped together. Everything is bound
to loopback and built from the parts that production uses; the rest of the product doesn't know that a demo exists.
"""
