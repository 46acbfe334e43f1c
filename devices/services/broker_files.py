"""Who may connect to the broker, as the files that it reads (F68)."""

from __future__ import annotations

from typing import NamedTuple

from devices.models import Device
from devices.transports.mosquitto import hash_password, render_acl, render_password_file

CHUNK = 5_000


class BrokerFiles(NamedTuple):
    """Content of the two files, and the number of devices in them."""

    passwords: str
    acl: str
    devices: int


def rendered_files(*, platform_user: str, platform_password: str) -> BrokerFiles:
    """All live devices that have a credential, and the platform's own user. Terminated devices are left out.

    Raises `devices.transports.mosquitto.CredentialNotExportable`.
    """
    live = Device.objects.live().exclude(credential_hash="").order_by("id")
    columns = live.values_list("product__key", "key", "credential_hash")
    devices = [(f"{product}/{key}", digest) for product, key, digest in columns.iterator(chunk_size=CHUNK)]
    credentials = [(platform_user, hash_password(platform_password)), *devices]
    return BrokerFiles(render_password_file(credentials), render_acl(platform_user), len(devices))
