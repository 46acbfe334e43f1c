"""What is sold: products with their thing models, the device service rule, service levels and plans.

Owns the pure rules of thing models (`tsl`) and the versions of rules and plans. It must not know devices, orders or
who is told.
"""
