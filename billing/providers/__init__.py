"""Gateways: how money is asked for and how its arrival is learned.

Owns the wire of each gateway: its signatures, its field names, its way to say "not yet". `protocol` says in our
vocabulary what billing may ask of any gateway, one file per gateway keeps that promise, `registry` lists them.
Providers are stateless and built per merchant account. They know no table and no Django, read no clock, and decide no
order's state: they hand facts to `billing.services.settlement`.
"""
