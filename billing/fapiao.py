"""Requests for a fapiao (the Chinese tax invoice) as pure rules: what one must say, and what may become of it.

The fapiao itself is issued in the tax authority's own system; the product records who asked, and its number.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

CURRENCY = "CNY"
"""A fapiao is always in renminbi."""
TAX_NUMBER = re.compile(r"[0-9A-Z]{15,20}")
"""15 (old registrations), 17, 18 (unified social credit code) or 20 characters."""
NUMBER = re.compile(r"[0-9A-Z]{8,24}")
"""8 digits on paper with a code before them, 20 for electronic ones."""
E_MAIL = re.compile(r"[^@\s<>,;\"']{1,64}@[A-Za-z0-9.-]{1,180}\.[A-Za-z]{2,24}")
LONGEST_TITLE = 100


class FapiaoStatus(StrEnum):
    """REQUESTED waits for finance; the other two are final."""

    REQUESTED = "REQUESTED"
    ISSUED = "ISSUED"
    REFUSED = "REFUSED"


class Fault(StrEnum):
    """What is wrong with a request; the sentences are the service's."""

    TITLE = "title"
    TAX_NUMBER = "tax_number"
    E_MAIL = "email"


class Buyer(NamedTuple):
    """Who the fapiao is for, and where it is sent."""

    title: str
    tax_number: str
    email: str

    def tidied(self) -> Buyer:
        """As people mean it: without blanks around, the tax number in capitals and without blanks within."""
        number = "".join(self.tax_number.split()).upper()
        return Buyer(" ".join(self.title.split()), number, self.email.strip())


def faults(buyer: Buyer) -> list[Fault]:
    """What stands in the way of a request; empty where it can be recorded."""
    found = []
    if not 0 < len(buyer.title) <= LONGEST_TITLE:
        found.append(Fault.TITLE)
    if not TAX_NUMBER.fullmatch(buyer.tax_number):
        found.append(Fault.TAX_NUMBER)
    if not E_MAIL.fullmatch(buyer.email):
        found.append(Fault.E_MAIL)
    return found


def is_final(status: FapiaoStatus) -> bool:
    """Whether finance has decided already."""
    return status is not FapiaoStatus.REQUESTED
