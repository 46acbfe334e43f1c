"""The public device page `/r/<token>`: what an end user sees after scanning a device's code, and pays on; and the pay
page `/p/<token>` of one order, which any wallet opens.

Composed at the roof from devices (state, presence), catalog (plans on sale) and billing (orders). It shows one device
and nothing of its owner or of other devices; a GET creates nothing; only the token and the plan choice are accepted.
"""
