"""An OpenAPI document as a page for people: plain HTML, whole without scripts, styled by one sheet of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt

from loadingdock.web.openapi import Document, operations, security
from loadingdock.web.schemas import example_of, fields, kind, meaning, resolved

# Raw HTML in a description is shown, not taken over.
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


def page(title: str, main: str, *, aside: str = "") -> str:
    """The frame of every page of the documentation."""
    side = f'<nav class="side" aria-label="On this page">{aside}</nav>' if aside else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Loadingdock</title><link rel="stylesheet" href="/docs/style.css"></head>'
        '<body><header class="top"><a class="brand" href="/docs">Loadingdock</a><span>API reference</span></header>'
        f'<div class="{"columns" if aside else "single"}">{side}<main>{main}</main></div></body></html>'
    )


def index(entries: Iterable[tuple[str, str, str]]) -> str:
    """The list of APIs: (name, title, summary) of each."""
    cards = "".join(
        f'<li><a href="/docs/{escape(name)}"><strong>{escape(title)}</strong></a>'
        f"<p>{escape(summary)}</p>"
        f'<p class="links"><a href="/docs/{escape(name)}">Reference</a> '
        f'<a href="/docs/{escape(name)}/openapi.json">OpenAPI 3.1</a></p></li>'
        for name, title, summary in entries
    )
    main = (
        "<h1>APIs of this service</h1><p>Each one is documented on its own. A file sent through any of them is the "
        'same file in all of them.</p><ul class="cards">' + cards + "</ul>"
        '<p>Some answer errors as problem documents (RFC 9457): <a href="/docs/errors">all of their codes</a>.</p>'
    )
    return page("API reference", main)


def errors_page(entries: Iterable[tuple[str, str, int, str]]) -> str:
    """What a problem document's `type` leads to: (code, title, status, an example of its detail) of each error."""
    rows = "".join(
        f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td><td>{status}</td><td>{escape(title)}</td>'
        f"<td>{escape(detail)}</td></tr>"
        for code, title, status, detail in entries
    )
    main = (
        "<h1>Errors</h1><p>Every error has a code that stays the same. A problem document (RFC 9457) leads here by "
        "its <code>type</code> and has the code in <code>code</code> too.</p>"
        '<div class="wide"><table><thead><tr><th>Code</th><th>Status</th><th>Title</th><th>Such as</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    return page("Errors", main)


def reference(name: str, document: Document) -> str:
    """The reference page of one API."""
    info = document["info"]
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, method, operation in operations(document):
        groups.setdefault(next(iter(operation.get("tags", [])), ""), []).append((path, method, operation))
    aside = "".join(_contents(tag, members) for tag, members in groups.items())
    server = document["servers"][0]["url"]
    main = (
        f"<h1>{escape(info['title'])}</h1>"
        f'<p class="lead">{escape(info.get("summary", ""))}</p>{_prose(info.get("description", ""))}'
        f'<dl class="facts"><dt>Server</dt><dd><code>{escape(server)}</code></dd>'
        f"<dt>Version</dt><dd>{escape(info['version'])}</dd>"
        f'<dt>Document</dt><dd><a href="/docs/{escape(name)}/openapi.json">OpenAPI 3.1</a></dd></dl>'
        + _credentials(document)
    )
    for tag, members in groups.items():
        heading = f'<h2 class="tag">{escape(tag.capitalize())}</h2>' if tag else ""
        main += heading + "".join(_operation(document, server, *member) for member in members)
    return page(info["title"], main, aside=aside)


def _contents(tag: str, members: Sequence[tuple[str, str, dict[str, Any]]]) -> str:
    links = "".join(
        f'<li><a href="#{_anchor(method, path)}">{_badge(method)}<span>{escape(operation.get("summary", path))}'
        "</span></a></li>"
        for path, method, operation in members
    )
    return (f"<h2>{escape(tag.capitalize())}</h2>" if tag else "") + f"<ul>{links}</ul>"


def _credentials(document: Document) -> str:
    schemes = document.get("components", {}).get("securitySchemes", {})
    if not schemes:
        return ""
    rows = "".join(
        f"<dt><code>{escape(name)}</code></dt><dd>{escape(_scheme(scheme))}{_prose(scheme.get('description', ''))}</dd>"
        for name, scheme in schemes.items()
    )
    return f'<section class="auth"><h2>Credentials</h2><dl>{rows}</dl></section>'


def _scheme(scheme: Mapping[str, Any]) -> str:
    match scheme["type"]:
        case "http":
            return f"Authorization: {scheme['scheme'].capitalize()} …"
        case "apiKey":
            return f"{scheme['name']} ({scheme['in']})"
        case _:
            return str(scheme["type"])


def _operation(document: Document, server: str, path: str, method: str, operation: dict[str, Any]) -> str:
    anchor = _anchor(method, path)
    summary = operation.get("summary", path)
    needs = " or ".join(escape(" and ".join(need)) for need in security(operation) if need)
    return (
        f'<section class="operation" id="{anchor}"><h3><a href="#{anchor}">{escape(summary)}</a></h3>'
        f'<p class="line">{_badge(method)}<code>{_path(path)}</code></p>'
        + _prose(operation.get("description", ""))
        + (f'<p class="needs">Credentials: {needs}</p>' if needs else "")
        + _parameters(document, operation)
        + _body(document, operation)
        + f"<h4>Request</h4>{_code(_curl(server, path, method, operation))}"
        + _responses(document, operation)
        + "</section>"
    )


def _parameters(document: Document, operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code>{_required(p.get('required', False))}</td><td>{escape(p['in'])}</td>"
        f"<td>{kind(document, p.get('schema', {}))}</td><td>{_prose(meaning(document, p))}</td></tr>"
        for p in (resolved(document, p) for p in operation.get("parameters", ()))
    )
    return _table("Parameters", ("Name", "In", "Type", "Meaning"), rows)


def _body(document: Document, operation: Mapping[str, Any]) -> str:
    body = resolved(document, operation.get("requestBody", {}))
    shown = _prose(body.get("description", ""))
    for media_type, content in body.get("content", {}).items():
        shown += f"<p><code>{escape(media_type)}</code></p>" + _content(document, content)
    return f"<h4>Body{_required(body.get('required', False))}</h4>{shown}" if shown else ""


def _responses(document: Document, operation: Mapping[str, Any]) -> str:
    shown = ""
    for status, response in operation["responses"].items():
        response = resolved(document, response)
        said, _, more = response.get("description", "").strip().partition("\n")
        inner = _prose(more.strip())
        for name, header in response.get("headers", {}).items():
            inner += f"<p><code>{escape(name)}</code> {escape(header.get('description', ''))}</p>"
        for media_type, content in response.get("content", {}).items():
            inner += f"<p><code>{escape(media_type)}</code></p>" + _content(document, content, answered=True)
        colour = "good" if status < "4" else "bad"
        label = f'<b class="{colour}">{escape(status)}</b> {escape(said)}'
        opened = " open" if status < "3" else ""
        shown += f"<details{opened}><summary>{label}</summary>{inner}</details>" if inner else f"<p>{label}</p>"
    return f'<h4>Answers</h4><div class="answers">{shown}</div>'


def _content(document: Document, content: Mapping[str, Any], *, answered: bool = False) -> str:
    """Fields and examples. What is answered is all there, so only what is asked is marked as required."""
    schema = content.get("schema", {})
    rows = "".join(
        f"<tr><td><code>{escape(field.name)}</code>{_required(field.required and not answered)}</td>"
        f"<td>{field.kind}</td><td>{_prose(field.meaning)}</td></tr>"
        for field in fields(document, schema)
    )
    shown = _table("", ("Field", "Type", "Meaning"), rows)
    examples = content.get("examples") or ({"": {"value": content["example"]}} if "example" in content else {})
    if not examples and answered and (made := example_of(document, schema)) is not None:
        examples = {"": {"value": made}}
    for name, example in examples.items():
        value = example.get("value")
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        shown += (f'<p class="example">{escape(name)}</p>' if len(examples) > 1 else "") + _code(text)
    return shown


def _curl(server: str, path: str, method: str, operation: Mapping[str, Any]) -> str:
    """The request as a person would type it; nothing in it but what the document says."""
    needed = [p for p in operation.get("parameters", ()) if p.get("required")]
    query = "&".join(f"{p['name']}={p.get('example', '…')}" for p in needed if p["in"] == "query")
    url = f"'{server}{path}{'?' if query else ''}{query}'"
    lines = [f"curl -I {url}" if method == "head" else f"curl -X {method.upper()} {url}"]
    alternatives = [next(iter(need)) for need in security(operation) if need]
    if alternatives:
        lines.append(_CREDENTIAL.get(alternatives[0], "-H 'Authorization: …'"))
    lines += [f"-H '{p['name']}: {p.get('example', '…')}'" for p in needed if p["in"] == "header"]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if media_type.startswith("multipart/"):
            fields = content.get("schema", {}).get("properties", {"file": {}})
            lines += [f"-F {name}=@FILE" if name == "file" else f"-F {name}=…" for name in fields]
        elif media_type.endswith("json"):
            lines.append(f"-H 'Content-Type: {media_type}'")
            lines.append(f"-d '{_sample(content)}'")
        else:
            lines.append("--data-binary @FILE")
        break
    return " \\\n  ".join(lines)


_CREDENTIAL = {
    "basic": "-u 'user@company:password'",
    "bearer": '-H "Authorization: Bearer $TOKEN"',
    "api-key": '-H "api-key: $KEY"',
}


def _sample(content: Mapping[str, Any]) -> str:
    for example in content.get("examples", {}).values():
        return json.dumps(example.get("value"), ensure_ascii=False)
    return json.dumps(content["example"], ensure_ascii=False) if "example" in content else "{…}"


def _table(title: str, heads: Sequence[str], rows: str) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in heads)
    heading = f"<h4>{title}</h4>" if title else ""
    return f'{heading}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _prose(text: str) -> str:
    return _markdown.render(text) if text else ""


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def _required(required: bool) -> str:
    return ' <span class="required">required</span>' if required else ""


def _badge(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def _path(path: str) -> str:
    """The path with its parameters set off, and places where it may break."""
    return re.sub(r"(\{[^}]+\})", r"<i>\1</i>", escape(path).replace("/", "/<wbr>"))


def _anchor(method: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")
