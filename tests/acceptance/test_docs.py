"""The reference pages: whole without scripts, closed to everything from elsewhere, and true to their documents."""

from __future__ import annotations

import html
import html.parser
import re
from collections.abc import Iterator
from urllib.parse import urldefrag, urljoin

import httpx
import pytest

from loadingdock.core.errors import DockError
from loadingdock.web import errors as web_errors
from loadingdock.web.dialect import discover
from loadingdock.web.openapi import schema_of
from loadingdock.web.problems import SAMPLES, status_of
from tests.service import Service

APIS = [dialect.name for dialect in discover()]
VOID = {"meta", "link", "wbr", "br", "hr", "img", "input"}


class Page(html.parser.HTMLParser):
    """What is in a page; fails on elements that are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in found), attrs
        if found.get("id"):
            self.ids.append(str(found["id"]))
        for name in ("href", "src", "action"):
            if found.get(name):
                self.links.append(str(found[name]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())


@pytest.fixture(scope="module")
def reader(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/errors", *(f"/docs/{api}" for api in APIS)])
def test_a_page_is_whole_by_itself(path: str, reader: httpx.Client) -> None:
    answer = reader.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = Page(answer.text)
    assert page.tags.isdisjoint({"script", "iframe", "object", "form", "img", "style"})
    assert len(page.ids) == len(set(page.ids))
    fragments: dict[str, set[str]] = {}
    for link in page.links:
        target, fragment = urldefrag(urljoin(f"{reader.base_url}{path}", link))
        assert target.startswith(str(reader.base_url)), link
        fragments.setdefault(target, set()).add(fragment)
    for target, wanted in fragments.items():
        found = reader.get(target)
        assert found.status_code == 200, target
        if found.headers["content-type"].startswith("text/html"):
            assert wanted - {""} <= set(Page(found.text).ids), target


@pytest.mark.parametrize("api", APIS)
def test_a_page_shows_every_operation(api: str, reader: httpx.Client) -> None:
    document = reader.get(f"/docs/{api}/openapi.json").json()
    page = re.sub(r"<wbr>|</?i>", "", reader.get(f"/docs/{api}").text)
    for path, item in document["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in item.values():
            assert html.escape(operation["summary"]) in page


def test_every_error_is_explained_where_its_type_leads(reader: httpx.Client) -> None:
    explained = set(Page(reader.get("/docs/errors").text).ids)
    with httpx.Client(base_url=reader.base_url) as anybody:
        problem = anybody.get("/api/v1/files").json()
    assert urldefrag(problem["type"]).fragment in explained
    assert {error.code for error in SAMPLES} == explained


def test_there_is_a_sample_of_every_error() -> None:
    def below(kind: type[DockError]) -> Iterator[type[DockError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    shown = {type(error) for error in SAMPLES}
    general = {"loadingdock.core.errors", web_errors.__name__}
    missing = {kind for kind in below(DockError) if kind.__module__ in general} - shown
    assert missing == set()


def test_a_new_error_has_the_status_of_its_parent() -> None:
    class Stale(web_errors.UnsupportedMediaType):
        code = "stale"

    assert status_of(Stale) == status_of(Stale("x")) == 415
    assert status_of(DockError("x")) == 500


def test_a_schema_keeps_to_what_was_seen() -> None:
    assert schema_of([{"a": 1, "b": None}, {"a": 2.5, "c": ["x"]}]) == {
        "type": "object",
        "properties": {
            "a": {"type": ["integer", "number"]},
            "b": {},
            "c": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["a"],
    }
