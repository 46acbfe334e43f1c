"""Endpoints of the catalogue: products with their TSL, and plans. Rules are told by devices: they move them."""
