"""The product speaks Simplified Chinese to the last word: our own texts, and those of the admin's theme."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterable, Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import NamedTuple

import pytest
import unfold
from django.contrib.auth import password_validation
from django.core.cache import cache
from django.utils.translation import trans_real
from django.utils.translation.template import templatize

from amp.foundation.scoping import system_scope
from tests.services.shop import Loopback
from tests.services.visiting import Visit, words

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "locale/zh_Hans/LC_MESSAGES/django.po"
APPS = ("amp", "catalog", "devices", "billing", "alerts")
THEME = Path(unfold.__file__).parent
THEME_UNUSED = frozenset(
    {"constance", "guardian", "hijack", "import_export", "inlines", "location_field", "simple_history"}
)
"""Parts of the theme that serve apps which the product doesn't install."""
CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "npgettext", "pgettext", "pgettext_lazy"}
LITERAL = r"""(u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
TEMPLATE_CALL = re.compile(rf"\b(_|n?gettext|pgettext)\({LITERAL}(?:, {LITERAL})?[^)]*")
ENGLISH = re.compile(r"\b(Service|Choose|Pay|Paid|Device|Serial|Total|Seller|Order|Amount|New|End|TEST)\b")
SAME_IN_BOTH = frozenset({"Webhook", "CSV", "JSON", "RTK", "SIM", "TSL", "XLSX"})
NAME = re.compile(r"%\((\w+)\)|\{(\w+)\}")


class Text(NamedTuple):
    """One text of the source; `context` and `plural` are empty where it has none."""

    context: str
    single: str
    plural: str = ""


class Entry(NamedTuple):
    """One entry of the catalogue; `said` is empty where nobody has translated it yet."""

    text: Text
    said: str
    is_fuzzy: bool


def in_code(path: Path) -> Iterator[Text]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            given = [each.value for each in node.args if isinstance(each, ast.Constant)]
            texts = [each for each in given if isinstance(each, str)]
            match node.func.id:
                case "pgettext" | "pgettext_lazy":
                    yield Text(texts[0], texts[1])
                case "npgettext":
                    yield Text(texts[0], texts[1], texts[2])
                case "ngettext":
                    yield Text("", texts[0], texts[1])
                case _ if texts:
                    yield Text("", texts[0])


def in_template(path: Path) -> Iterator[Text]:
    for call in TEMPLATE_CALL.finditer(templatize(path.read_text("utf-8"))):
        if call[1] == "pgettext":
            yield Text(ast.literal_eval(call[2]), ast.literal_eval(call[3]))
        else:
            yield Text("", ast.literal_eval(call[2]))


def texts_below(*folders: Path, without: frozenset[str] = frozenset()) -> set[Text]:
    """Every text in the code and the templates of these folders; `without` names folders to leave out."""
    files = [path for folder in folders for path in folder.rglob("*.*") if not without & set(path.parts)]
    readers = {".py": in_code, ".html": in_template, ".txt": in_template}
    return {text for path in files if path.suffix in readers for text in readers[path.suffix](path)}


def product_texts() -> set[Text]:
    return texts_below(*(ROOT / app for app in APPS), ROOT / "templates")


def compiled() -> GNUTranslations:
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        return GNUTranslations(file)


def entries() -> list[Entry]:
    """The catalogue's source, its header left out."""
    blocks = re.split(r"\n{2,}", CATALOGUE.read_text("utf-8").strip())
    return [entry for block in blocks if (entry := _entry(block)).text.single]


def _entry(block: str) -> Entry:
    fields: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith('"'):
            value = line
        else:
            name, _, value = line.partition(" ")
        fields[name] = fields.get(name, "") + ast.literal_eval(value)
    text = Text(fields.get("msgctxt", ""), fields.get("msgid", ""), fields.get("msgid_plural", ""))
    is_fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
    return Entry(text, fields.get("msgstr", "") or fields.get("msgstr[0]", ""), is_fuzzy)


def say(catalogue: GNUTranslations, text: Text) -> str:
    if text.context:
        return catalogue.pgettext(text.context, text.single)
    return catalogue.ngettext(text.single, text.plural, 2) if text.plural else catalogue.gettext(text.single)


def left_in_english(catalogue: GNUTranslations, texts: Iterable[Text]) -> list[Text]:
    told = ((text, say(catalogue, text)) for text in texts if text.single not in SAME_IN_BOTH)
    return [text for text, said in told if said in {text.single, text.plural}]


def test_every_text_of_the_product_is_translated() -> None:
    texts = product_texts()
    assert {"Choose how long to renew", "Service stopped", "Try a problem", "j F Y"} <= {text.single for text in texts}
    assert left_in_english(compiled(), texts) == []
    unknown = Text("", "A sentence that nobody has translated")
    assert left_in_english(compiled(), [*texts, unknown]) == [unknown]


def test_commands_speak_english_like_the_logs_beside_them() -> None:
    """Whoever runs one reads Django's own words and its options between ours; none of them is translated."""
    commands = [path for app in APPS for path in (ROOT / app).glob("**/management/commands/*.py")]
    assert len(commands) > 10
    assert [path.name for path in commands if "translation" in path.read_text()] == []


def test_every_text_of_the_admin_theme_is_translated() -> None:
    """The theme comes without Chinese: what Django's own catalogue doesn't know is in ours."""
    texts = texts_below(THEME, without=THEME_UNUSED)
    assert {Text("", "Apply Filters"), Text("", "Welcome back to")} <= texts
    assert left_in_english(trans_real.translation("zh-hans"), texts) == []


def test_what_is_wrong_with_a_new_password_is_said_in_chinese_X1() -> None:
    """Django changed this text after its own translation was made."""
    texts = set(in_code(Path(password_validation.__file__)))
    assert any("too short" in text.single for text in texts)
    assert left_in_english(trans_real.translation("zh-hans"), texts) == []


def test_contexts_of_templates_are_read(tmp_path: Path) -> None:
    """The negative control of the two tests above."""
    page = tmp_path / "page.html"
    page.write_text('{% load i18n %}{% translate "Plain" %}{% translate "Close" context "door" %}{% x a=_("Hi") %}')
    assert set(in_template(page)) == {Text("", "Plain"), Text("door", "Close"), Text("", "Hi")}


def test_the_compiled_catalogue_is_the_one_in_the_repository() -> None:
    """A machine without gettext uses the committed file, so it holds exactly what its source says."""
    catalogue, translated = compiled(), [entry for entry in entries() if entry.said]
    assert [entry for entry in translated if say(catalogue, entry.text) != entry.said] == []
    (count,) = struct.unpack_from("<I", CATALOGUE.with_suffix(".mo").read_bytes(), 8)
    assert count == len(translated) + 1, "Run `make messages`: the compiled file holds other entries than its source."


def test_no_translation_names_a_value_that_its_text_does_not_have() -> None:
    def names(text: str) -> set[str]:
        return {one or other for one, other in NAME.findall(text)}

    for text, said, is_fuzzy in entries():
        assert not is_fuzzy, f"Check the guess for “{text.single}”."
        assert names(said) <= names(text.single) | names(text.plural), text.single


@pytest.mark.django_db
def test_the_way_from_the_code_to_the_renewed_service_is_chinese_on_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    Loopback.installed(monkeypatch)
    cache.clear()
    with system_scope():
        visit = Visit().over()
        plan = visit.plan()
        reader = {"accept-language": "zh-CN,zh;q=0.9"}
        in_english = visit.look()
        assert all(word in in_english for word in ("Service", "Choose", "Pay"))
        device = visit.look("?lang=zh-hans")
        signed = visit.browser.post(f"{visit.path}/pay?lang=zh-hans", {"plan": plan.pk})["Location"]
        sandbox = words(visit.browser.get(re.sub("^https?://[^/]+", "", signed), headers=reader))
        result = words(visit.browser.get(visit.press_pay(signed)["Location"], headers=reader, follow=True))
    assert "选择续费时长" in device
    assert "测试环境" in sandbox
    assert "支付成功" in result
    assert re.search(r"\d{4}年\d{1,2}月\d{1,2}日", device)
    for page in (device, sandbox, result):
        assert not ENGLISH.search(page)
