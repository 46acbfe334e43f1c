"""A gateway simulator: WeChat Pay (APIv3) and Alipay (OpenAPI) as their documentation says they speak.

A process of its own on loopback, which keeps its own books, so that a test can compare them with ours. It signs,
verifies and encrypts with `cryptography` alone and shares no line with the product or the SDKs (a test sees to it):
where both sides would make the same mistake, a test of one against the other proves nothing.

`books` are trades and money, `wechat` and `alipay` the two wires, `openids` WeChat's OAuth, `server` listens, `process`
is what tests hold.
"""
