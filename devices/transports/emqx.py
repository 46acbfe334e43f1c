"""The management API of EMQX 5: ends the connection of a client (`DELETE /clients/{clientid}`)."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

import requests

from devices.transports.base import BrokerRefused, BrokerUnavailable, Ended

_NOBODY = "CLIENTID_NOT_FOUND"


class EmqxConnections:
    """The ConnectionControl over HTTP. `url` ends in `/api/v5`; key and secret are those of an API key of EMQX."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._key = (key, secret)

    def disconnect(self, client_id: str, *, timeout: float = 3.0) -> Ended:
        try:
            answer = requests.delete(
                f"{self._url}/clients/{quote(client_id, safe='')}",
                auth=self._key,
                timeout=timeout,
                allow_redirects=False,
            )
        except requests.RequestException as trouble:
            raise BrokerUnavailable(f"EMQX did not answer: {type(trouble).__name__}") from trouble
        return _outcome(answer)


def _outcome(answer: requests.Response) -> Ended:
    """204 ended it, 404 with a code of its own says that there was none; everything else is trouble.

    A bare 404 comes from an address that isn't the API: it must not pass for success.
    """
    if answer.status_code == HTTPStatus.NO_CONTENT:
        return Ended.ENDED
    if answer.status_code == HTTPStatus.NOT_FOUND and _code(answer) == _NOBODY:
        return Ended.NOT_CONNECTED
    told = f"EMQX answered {answer.status_code} {_code(answer)}".strip()
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise BrokerUnavailable(told)
    raise BrokerRefused(f"{told}: check EMQX_API_URL, EMQX_API_KEY and EMQX_API_SECRET")


def _code(answer: requests.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return ""
    return str(content.get("code", ""))[:60] if isinstance(content, dict) else ""
