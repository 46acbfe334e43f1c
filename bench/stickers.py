"""Row G: a QR as SVG, and a sheet of stickers, each against the matrices alone."""

from __future__ import annotations

from collections.abc import Iterator

import qrcode
from qrcode.constants import ERROR_CORRECT_M

from bench.rounds import Figure, Target, in_turn, seconds, typical_seconds
from bench.stage import Stage
from devices.papers import Sticker, sticker_sheet
from devices.qr import PAPER, matrix, qr_svg, version_for
from devices.services.tokens import link_of, new_token

STICKERS = 1_000
CODES = 200


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """Nothing of it touches the database. A tiny fleet gets a tiny sheet: it shows that the measuring works."""
    few = stage.scale <= stage.small_scale
    yield _svg(rounds, CODES // 20 if few else CODES)
    yield _sheet(rounds, STICKERS // 50 if few else STICKERS)


def _svg(rounds: int, times: int) -> Figure:
    link = link_of(new_token())
    drawing, alone = in_turn(
        rounds,
        lambda _number: 1000 * typical_seconds(lambda: qr_svg(link, "QR code"), times),
        lambda _number: 1000 * typical_seconds(lambda: matrix(link), times),
    )
    peer = 1000 * typical_seconds(lambda: _graded(link), max(times // 20, 3))
    return Figure(
        *("G", "a QR as SVG", "ms", "its matrix alone", drawing, alone, Target(3, at_most=True)),
        note=f"the library with all eight masks: {peer:.1f} ms",
    )


def _graded(link: str) -> None:
    """What the library does unless a mask is named."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M)
    code.add_data(link)
    code.make()


def _sheet(rounds: int, count: int) -> Figure:
    stickers = [
        Sticker(link_of(new_token()), f"Heater {number}", f"{number:04d}", "Warm & Co") for number in range(count)
    ]
    version = version_for(stickers[0].link, PAPER)
    sheet, alone = in_turn(
        rounds,
        lambda _number: 1000 * seconds(lambda: sticker_sheet(stickers, line="Scan", title="Stickers", cut_marks=True)),
        lambda _number: 1000 * seconds(lambda: [matrix(each.link, PAPER, version) for each in stickers]),
    )
    what = f"a sheet of {count:,} stickers as PDF"
    return Figure("G", what, "ms", "the matrices alone", sheet, alone, Target(3, at_most=True))
