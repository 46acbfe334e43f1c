"""How the admin looks: the settings of its theme. What they call lives in `amp.admin`."""

from __future__ import annotations

from typing import Any

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "AMP",
    "SITE_HEADER": "AMP",
    "SITE_SUBHEADER": _("Device services"),
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "amp.admin.icon"}],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "ENVIRONMENT": "amp.admin.environment",
    "STYLES": ["amp.admin.stylesheet"],
    "SCRIPTS": ["amp.admin.script"],
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#123f3d",
            "950": "#042f2e",
        },
    },
    "SIDEBAR": {"navigation": "amp.admin.navigation"},
    "ACCOUNT": {
        "navigation": [
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
            {"title": _("Two-step sign-in"), "link": reverse_lazy("accounts:recovery_codes")},
        ]
    },
}
