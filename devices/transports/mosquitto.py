"""Writes the files by which Mosquitto 2 knows our devices: its password file and its ACL.

Deny by default, and one pattern for all devices: a device is what it logged in as (`{productKey}/{deviceKey}`), it
publishes below its own `up/` and its status, and receives below its own `down/`. Both files are read again on SIGHUP.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from devices.transports.base import Ended

ITERATIONS = 101
"""Rounds of PBKDF2, as `mosquitto_passwd` uses. Device passwords are random and long, so more rounds would protect
nothing and make a fleet that reconnects wait for the broker's only thread."""

UPTIME_TOPIC = "$SYS/broker/uptime"
"""Where Mosquitto says, retained and every ten seconds, for how long it has been running."""

_SALT_BYTES = 12
_FORBIDDEN = frozenset("+#:\r\n\0")


class CredentialNotExportable(ValueError):
    """A user name or hash that Mosquitto's files can't hold, or would read as something else."""


def hash_password(password: str, *, iterations: int = ITERATIONS) -> str:
    """Mosquitto's `$7$iterations$salt$hash`: PBKDF2 with SHA-512 and a fresh salt, both in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    return f"$7${iterations}${_base64(salt)}${_base64(digest)}"


def password_matches(password: str, digest: str) -> bool:
    """Whether `digest`, in the form of `hash_password`, is of this password; False for anything that isn't a hash."""
    try:
        _empty, kind, iterations, salt, expected = digest.split("$")
        given = hashlib.pbkdf2_hmac(
            "sha512", password.encode("utf-8", "replace"), base64.b64decode(salt, validate=True), int(iterations)
        )
        return kind == "7" and hmac.compare_digest(given, base64.b64decode(expected, validate=True))
    except (ValueError, binascii.Error):
        return False


def render_password_file(credentials: Iterable[tuple[str, str]]) -> str:
    """One line for each (user name, password hash). Raises CredentialNotExportable for what would break the file."""
    return "".join(f"{_checked_username(username)}:{_checked_hash(digest)}\n" for username, digest in credentials)


def render_acl(platform_username: str) -> str:
    """The ACL for all devices, and for the platform's own user, who may read and write everything below `amp/`
    and hear for how long the broker has been running."""
    return (
        f"user {_checked_username(platform_username)}\n"
        "topic readwrite amp/#\n"
        f"topic read {UPTIME_TOPIC}\n"
        "\n"
        "pattern write amp/%u/up/#\n"
        "pattern write amp/%u/status\n"
        "pattern read amp/%u/down/#\n"
    )


class MosquittoConnections:
    """The ConnectionControl of a broker without a management interface.

    Mosquitto ends connections by itself: when it reads its password file again, it throws out whoever's password is
    gone or was changed. So the export and its signal do the work.
    """

    def disconnect(self, client_id: str, *, timeout: float = 3.0) -> Ended:
        return Ended.UNSUPPORTED


def _checked_username(username: str) -> str:
    if not username or _FORBIDDEN & set(username) or username != username.strip():
        raise CredentialNotExportable(f"Mosquitto can't hold the user name {username!r}: no + # : or line breaks")
    return username


def _checked_hash(digest: str) -> str:
    parts = digest.split("$")
    if len(parts) != 5 or parts[1] != "7" or _FORBIDDEN & (set(digest) - {"+"}):
        raise CredentialNotExportable("A password hash for Mosquitto looks like $7$iterations$salt$hash")
    return digest


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
