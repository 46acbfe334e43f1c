"""What pages may load, and who may frame them: a content policy on every answer (F91, F95, F97)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from amp.foundation.models import Role
from amp.foundation.scoping import system_scope
from amp.policy import policy_of
from tests.factories import make_enterprise, make_member
from tests.services.visiting import Visit

TEMPLATES = Path(__file__).parents[2] / "templates"
STRICT_TEMPLATES = [
    *TEMPLATES.glob("public/*.html"),
    *TEMPLATES.glob("demo/*.html"),
    *TEMPLATES.glob("billing/sandbox*.html"),
    *TEMPLATES.glob("4*.html"),
]
BARS = {"object-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'self'"}
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.I)
HANDLER = re.compile(r"<[a-z][^>]*\son[a-z]+\s*=", re.I)
INLINE_STYLE = re.compile(r"<style|<[a-z][^>]*\sstyle\s*=", re.I)
JAVASCRIPT_LINK = re.compile(r"(?:href|action|src)\s*=\s*[\"']?\s*javascript:", re.I)


def header(answer: Any) -> dict[str, str]:
    """Directive → its sources."""
    parts = [part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";")]
    return {name: sources for name, _, sources in parts}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/admin/login/", "/admin/", "/admin/password/forgotten/", "/admin/join/x/", "/admin/none/", "/r/unknown"]
)
def test_every_answer_carries_the_policy_whatever_its_status_F95(path: str) -> None:
    answer = Client().get(path)
    policy = header(answer)
    assert {name: policy[name] for name in BARS} == BARS
    assert policy["default-src"] in {"'none'", "'self'"}
    assert policy["form-action"].split()[0] == "'self'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Server" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/r/token", "/sandbox/pay/x", "/pay/return/x", "/demo/", "/health/ready", "/", "/api/v1/me"]
)
def test_pages_for_the_public_allow_nothing_unsafe_F91(path: str) -> None:
    sources = [source for directive in policy_of(path).values() for source in directive]
    assert not [source for source in sources if "unsafe" in source or source == "*"]


def test_the_admins_theme_gets_what_it_needs_and_no_more_F91() -> None:
    unsafe = {
        (name, source) for name, directive in policy_of("/admin/").items() for source in directive if "unsafe" in source
    }
    assert unsafe == {("script-src", "'unsafe-eval'"), ("style-src", "'unsafe-inline'")}


def test_a_payment_form_may_lead_to_the_gateways_and_nowhere_else(settings: Any) -> None:
    """Chromium applies form-action to the redirection that follows a post."""
    settings.BASE_URL = "https://amp.example.com"
    settings.PAYMENT_ORIGINS = ["https://openapi.alipay.com"]
    assert policy_of("/r/x")["form-action"] == ["'self'", "https://amp.example.com", "https://openapi.alipay.com"]


@pytest.mark.parametrize(
    "template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES))
)
def test_no_template_holds_a_script_or_a_handler_that_the_policy_blocks(template: Path) -> None:
    text = template.read_text()
    for what in (INLINE_SCRIPT, HANDLER, JAVASCRIPT_LINK):
        assert not what.search(text), what.pattern


@pytest.mark.parametrize("template", STRICT_TEMPLATES, ids=lambda path: path.name)
def test_no_page_for_the_public_holds_a_style_of_its_own(template: Path) -> None:
    assert not INLINE_STYLE.search(template.read_text())


def test_the_search_for_what_is_blocked_finds_it() -> None:
    """Negative control."""
    assert INLINE_SCRIPT.search("<script>alert(1)</script>")
    assert not INLINE_SCRIPT.search('<script src="/static/x.js" defer></script>')
    assert HANDLER.search('<button type="submit" onclick="x()">')
    assert INLINE_STYLE.search('<p class="a" style="color:red">')
    assert JAVASCRIPT_LINK.search('<a href="javascript:x()">')
    assert len(STRICT_TEMPLATES) >= 8


@pytest.mark.django_db
def test_rendered_pages_hold_no_script_of_their_own_either() -> None:
    """With the theme's templates around ours."""
    cache.clear()
    with system_scope():
        visit = Visit().over()
        admin = make_member(make_enterprise(merchant=False), Role.PLATFORM_ADMINISTRATOR)
    staff = Client()
    staff.force_login(admin)
    pages = {
        path: staff.get(path).content.decode()
        for path in ("/admin/", "/admin/foundation/membership/", "/admin/operations/")
    }
    pages["renewal page"] = visit.look()
    pages["login"] = Client().get("/admin/login/").content.decode()
    for name, text in pages.items():
        scripts = [tag for tag in INLINE_SCRIPT.findall(text) if "json" not in tag]
        assert (scripts, HANDLER.findall(text)) == ([], []), name
