"""Who may connect to the broker, as the files that it reads (F68)."""

from __future__ import annotations

from typing import NamedTuple

from devices.models import Device
from devices.transports.mosquitto import hash_password, password_matches, render_acl, render_password_file

CHUNK = 5_000


class BrokerFiles(NamedTuple):
    """Content of the two files, and the number of devices in them."""

    passwords: str
    acl: str
    devices: int


def rendered_files(*, platform_user: str, platform_password: str, before: str = "") -> BrokerFiles:
    """All live devices that have a credential, and the platform's own user.

    Terminated and revoked devices are left out (X4). `before` is the password file so far: where the platform's
    password is still the same its hash stays, so that the file changes only when a credential does.

    Raises `devices.transports.mosquitto.CredentialNotExportable`.
    """
    live = Device.objects.live().exclude(credential_hash="").order_by("id")
    columns = live.values_list("product__key", "key", "credential_hash")
    devices = [(f"{product}/{key}", digest) for product, key, digest in columns.iterator(chunk_size=CHUNK)]
    credentials = [(platform_user, _hash_of(platform_user, platform_password, before)), *devices]
    return BrokerFiles(render_password_file(credentials), render_acl(platform_user), len(devices))


def _hash_of(user: str, password: str, before: str) -> str:
    """The hash that the file so far has for this password, else a new one."""
    known = next((line.partition(":")[2] for line in before.splitlines() if line.startswith(f"{user}:")), "")
    return known if password_matches(password, known) else hash_password(password)
