"""Where the payment gateways are."""

from __future__ import annotations

import environ

env = environ.Env()
# Demo and test may name a simulator on this machine; production refuses all hosts but the gateways' own (X9).
PAYMENT_GATEWAYS: dict[str, str] = {
    "wechat": env.str("WECHAT_GATEWAY_URL", default="") or "https://api.mch.weixin.qq.com",
    "alipay": env.str("ALIPAY_GATEWAY_URL", default="") or "https://openapi.alipay.com/gateway.do",
    # Where WeChat tells who pays: the browser goes to the first, our server asks the second.
    "wechat_login": env.str("WECHAT_LOGIN_URL", default="") or "https://open.weixin.qq.com/connect/oauth2/authorize",
    "wechat_api": env.str("WECHAT_API_URL", default="") or "https://api.weixin.qq.com",
}
