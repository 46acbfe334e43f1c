"""The enrolment's QR code, drawn as SVG."""

from __future__ import annotations

import io

import qrcode
from django.utils.html import format_html
from django.utils.safestring import SafeString
from qrcode.image.svg import SvgPathImage


def qr_drawing(text: str, label: str) -> SafeString:
    """An SVG of `text`; `label` is what a screen reader says."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=2)
    code.add_data(text)
    code.make(fit=True)
    out = io.BytesIO()
    code.make_image(image_factory=SvgPathImage).save(out)
    drawing = out.getvalue().decode().split("?>", 1)[-1]
    return format_html('<div class="amp-qr" role="img" aria-label="{}">{}</div>', label, SafeString(drawing))
