"""What the terminal shows once the demo runs: where to look, whom to be, how to stop."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.color import Style

ROLES = {
    "PLATFORM_ADMINISTRATOR": "platform administrator",
    "ACCOUNT_MANAGER": "account manager",
    "ENTERPRISE_ADMINISTRATOR": "administrator",
    "OPERATOR": "operator",
    "FINANCE": "finance",
    "READ_ONLY": "read only",
}


def greeting(notes: dict[str, Any], style: Style) -> str:
    """The whole text."""
    base, star = settings.BASE_URL, notes["star"]
    places = [
        ("Tour", f"{base}/demo/"),
        ("Admin", f"{base}/admin/"),
        ("Mail", f"{base}/demo/mail/"),
        ("Renewal page", f"{base}/r/{star['renewal_token']}"),
        ("MQTT", f"127.0.0.1:{settings.DEMO_MQTT_PORT}, any user, password demo"),
    ]
    lines = ["", style.SUCCESS("AMP is running."), ""]
    lines += [f"  {name:<14}{address}" for name, address in places]
    lines += ["", f"  Sign in to the admin with the password {style.SUCCESS(notes['logins'][0]['password'])} as"]
    lines += [f"  {login['email']:<30}{ROLES[login['role']]}, {login['enterprise']}" for login in notes["logins"]]
    lines += [
        "",
        "  Move the product's time:  AMP_MODE=demo .venv/bin/python manage.py clock advance 30d",
        f"  Data and log:             {settings.DEMO_DIR}",
        "  Stop:                     Ctrl-C",
        "",
    ]
    return "\n".join(lines)
