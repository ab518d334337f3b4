"""Replays a golden transcript against a real server, and shows where the two part."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from loadingdock.core import contactspecs
from loadingdock.core.administration import operator
from loadingdock.core.model.companies import Company
from loadingdock.web.dialect import Dialect
from tests.service import PASSWORD, Service
from tests.wire import failing
from tests.wire.bodies import body
from tests.wire.transcripts import (
    Exchange,
    Memory,
    Transcript,
    TranscriptError,
    compact,
    compact_json,
    compare,
    encode_form,
    encode_urlencoded,
)

ServiceWith = Callable[[dict[str, str]], Service]


@dataclass
class Replay:
    """One run of a transcript. `service_with` finds or starts the server that has the settings asked for."""

    transcript: Transcript
    service_with: ServiceWith

    memory: Memory = field(default_factory=Memory)
    companies: dict[str, Company] = field(default_factory=dict)

    def run(self) -> None:
        wanted = dict(word.split("=", 1) for words in self.transcript.given("service") for word in words)
        service = self.service_with(wanted)
        self.memory.update(password=PASSWORD, host=service.url.removeprefix("http://"), base=service.url)
        for directive in self.transcript.directives:
            self._give(directive.split()[1:], service)
        with ExitStack() as stack:
            if failures := self.transcript.given("failure"):
                client = stack.enter_context(failing.client(service, _dialect(self.transcript), failures[0][0]))
            else:
                client = stack.enter_context(service.client())
            for exchange in self.transcript.exchanges:
                for directive in exchange.directives:
                    if directive == "wait":
                        for company in self.companies.values():
                            service.desk.loaded(company)
                self._exchange(client, exchange)

    # --- state ---

    def _give(self, words: list[str], service: Service) -> None:
        what, name, *rest = words
        match what:
            case "company":
                company = service.desk.company_with(name, dict(word.split("=", 1) for word in rest))
                self.companies[name] = company
                self.memory[name] = company.code
                self.memory[f"{name}.number"] = str(company.number)
            case "user":
                login, _, code = name.rpartition("@")
                service.desk.user(self._company(code), *rest, name=login)
            case "key":
                self.memory[name] = service.desk.key(self._company(rest[1]), *rest[2:])
            case "client":
                made = service.desk.oauth_client(self._company(rest[1]), *rest[2:])
                self.memory[f"{name}.id"] = made.client.id
                self.memory[f"{name}.secret"] = made.secret
                self.memory[f"{name}.token"] = service.desk.token(made)
            case "table":
                self._table(service, name, self._company(rest[1]), rest[2:])
            case "service" | "failure":
                pass
            case _:
                raise TranscriptError(f"{self.transcript.path}: nothing known as `given {what}`")

    def _table(self, service: Service, code: str, company: Company, words: list[str]) -> None:
        key = next((word.removeprefix("key=").split(",") for word in words if word.startswith("key=")), [])
        typed = (word if ":" in word else f"{word}:text" for word in words if not word.startswith("key="))
        columns = [contactspecs.column(word) for word in typed]
        service.desk.ask(lambda services: services.contacts.create(operator(company), code, columns, key=key))

    def _company(self, name: str) -> Company:
        if name not in self.companies:
            raise TranscriptError(f"{self.transcript.path}: no `given company {name}` before it is used")
        return self.companies[name]

    # --- exchanges ---

    def _exchange(self, client: httpx.Client, exchange: Exchange) -> None:
        content, headers = self._body(exchange)
        own = {name.lower() for name, _ in exchange.headers}
        sent = [(name, self.memory.fill(value)) for name, value in exchange.headers]
        sent += [(name, value) for name, value in headers if name.lower() not in own]
        path = self.memory.fill(exchange.path)
        response = client.request(exchange.method, path, headers=sent, content=content)
        self._check(exchange, response)

    def _body(self, exchange: Exchange) -> tuple[bytes | None, list[tuple[str, str]]]:
        if exchange.form == "multipart":
            form, content_type = encode_form(exchange.parts, self.memory, self._sample)
            return form, [("Content-Type", content_type)]
        if exchange.form == "form":
            form, content_type = encode_urlencoded(exchange.parts, self.memory)
            return form, [("Content-Type", content_type)]
        text = exchange.body
        if text is None:
            return None, []
        if text.startswith("@"):
            return self._sample(text[1:].strip()), []
        return self.memory.fill(text).encode(), []

    def _sample(self, name: str) -> bytes:
        beside = self.transcript.path.parent / name
        if beside.is_file():
            return beside.read_bytes()
        return body(name)

    def _check(self, exchange: Exchange, response: httpx.Response) -> None:
        where = f"{self.transcript.path}:{exchange.line} ({exchange.title})"
        shown = f"{exchange.method} {response.request.url}\n{_show(response)}"
        assert response.status_code == exchange.status, f"{where}\nexpected {exchange.status}, got\n{shown}"
        for name, expected in exchange.expected_headers:
            actual = response.headers.get(name)
            if expected == "{{absent}}":
                assert actual is None, f"{where}\n{name} was not expected, got\n{shown}"
            else:
                assert actual is not None, f"{where}\n{name} is missing in\n{shown}"
                assert compare(expected, actual, self.memory), f"{where}\nexpected {name}: {expected}\ngot\n{shown}"
        expected_body = exchange.expected_body or ""
        if expected_body == "{{any}}" or response.request.method == "HEAD":
            return
        if expected_body.startswith("@"):
            assert response.content == self._sample(expected_body[1:].strip()), f"{where}\nother bytes in\n{shown}"
            return
        actual, expected = response.text, expected_body
        if "json" in response.headers.get("content-type", ""):
            actual, expected = compact_json(response.content), compact(expected_body)
        assert compare(expected, actual, self.memory), f"{where}\n{_difference(expected, actual)}\nin\n{shown}"


def _dialect(transcript: Transcript) -> Dialect:
    module = importlib.import_module(f"loadingdock.dialects.{transcript.path.parent.parent.name}")
    dialect: Dialect = module.dialect
    return dialect


def _show(response: httpx.Response) -> str:
    head = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    return f"HTTP {response.status_code}\n{head}\n\n{response.text[:4000]}"


def _difference(expected: str, actual: str) -> str:
    def lines(text: str) -> list[str]:
        return text.replace(',"', ',\n"').splitlines()

    return "\n".join(difflib.unified_diff(lines(expected), lines(actual), "expected", "got", lineterm="", n=100))


def transcripts() -> list[Path]:
    """Those of every dialect there is."""
    import loadingdock.dialects

    return sorted(path for folder in loadingdock.dialects.__path__ for path in Path(folder).glob("*/golden/*.http"))
