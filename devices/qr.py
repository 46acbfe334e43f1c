"""QR codes as inline SVG: level M for screens."""

from __future__ import annotations

import io

import qrcode
from django.utils.html import format_html
from django.utils.safestring import SafeString
from qrcode.image.svg import SvgPathImage


def qr_svg(text: str, label: str) -> SafeString:
    """An SVG of `text`, black on white whatever the theme; `label` is what a screen reader says."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=2)
    code.add_data(text)
    code.make(fit=True)
    image = code.make_image(image_factory=SvgPathImage)
    out = io.BytesIO()
    image.save(out)
    drawing = out.getvalue().decode().split("?>", 1)[-1]
    return format_html('<div role="img" aria-label="{}">{}</div>', label, SafeString(drawing))
