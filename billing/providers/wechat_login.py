"""Who somebody inside WeChat is for one application: the openid, by OAuth with `snsapi_base`, which asks nobody.

WeChat compares the address of the first step with a pattern: its parameters stand in the documented order, and `state`
is letters and digits, 128 at most.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from billing.providers.calling import call
from billing.providers.protocol import GatewayRefused, GatewayTimeout

OPENID = re.compile(r"[A-Za-z0-9_-]{1,128}")
CODE = re.compile(r"[A-Za-z0-9_-]{1,512}")
STATE = re.compile(r"[A-Za-z0-9]{1,128}")
BUSY = -1
"""WeChat's word for "ask again later"."""


@dataclass(frozen=True, slots=True, repr=False)
class WeChatLogin:
    """One application; `authorize_url` is where the payer's browser goes, `api_url` whom our server asks."""

    appid: str
    app_secret: str
    authorize_url: str
    api_url: str

    def address(self, *, back: str, state: str) -> str:
        """Where the payer's browser goes; it comes to `back` with `code` and `state`."""
        if not STATE.fullmatch(state):
            raise ValueError("WeChat takes letters and digits as state, 128 at most.")
        return (
            f"{self.authorize_url}?appid={quote(self.appid, safe='')}&redirect_uri={quote(back, safe='')}"
            f"&response_type=code&scope=snsapi_base&state={state}#wechat_redirect"
        )

    def openid(self, code: str) -> str:
        """The payer's openid for a code, which counts once, for 5 minutes.

        Raises GatewayRefused where WeChat doesn't take the code, GatewayTimeout where it doesn't answer.
        """
        if not CODE.fullmatch(code):
            raise GatewayRefused("This is no code of WeChat's.")
        asked = {"appid": self.appid, "secret": self.app_secret, "code": code, "grant_type": "authorization_code"}
        answer = call("GET", f"{self.api_url}/sns/oauth2/access_token?{urlencode(asked)}", headers={}, body=None)
        try:
            told = json.loads(answer.body) if answer.status == 200 else None
        except ValueError:
            told = None
        if not isinstance(told, dict) or told.get("errcode") == BUSY:
            raise GatewayTimeout(f"WeChat could not tell who pays (HTTP {answer.status}).")
        openid = told.get("openid")
        if not isinstance(openid, str) or not OPENID.fullmatch(openid):
            raise GatewayRefused(f"WeChat does not tell who pays: {_number(told.get('errcode'))}")
        return openid

    def __repr__(self) -> str:
        return f"WeChatLogin(appid={self.appid!r})"


def _number(errcode: object) -> str:
    """WeChat's number of the error; its sentence may repeat what was asked."""
    return str(errcode) if isinstance(errcode, int) else "no reason given"
