r"""Golden transcripts: conversations with a wire as a person would read them, kept beside the wire that speaks so.

A file `loadingdock/dialects/<wire>/golden/<what it shows>.http` holds one conversation:

    # A second upload of a name is its second version.
    # given company acme file-service.bucket=eucrm-solutions
    # given user anna@acme files:read files:write

    POST /api_gateway/file-service/rewards/test.png
    Authorization: {{basic anna@acme}}
    [multipart]
    file: @photo.png; filename="test.png"; type=image/png

    HTTP 200
    Content-Type: application/json

    {"code": 200, "file": {"name": "test.png", "file_handle": "{{uuid:handle}}", "version": {{int}}}}

    ### read back

    GET /api_gateway/file-service/rewards/test.png
    ...

`###` divides exchanges; comments stand at the top and behind `###`. A comment that begins with one of these words is
a directive, all others are prose:

    given company NAME [SETTING=VALUE ...]    a company; its code is {{NAME}}, its number {{NAME.number}}
    given user LOGIN@NAME [PERMISSION ...]    its password is fixed; {{basic LOGIN@NAME}} is the whole header value
    given key NAME of COMPANY [PERMISSION ...]       an API key: {{NAME}}
    given client NAME of COMPANY [PERMISSION ...]    an OAuth client: {{NAME.id}}, {{NAME.secret}}, {{NAME.token}}
    given table CODE of COMPANY COLUMN[:TYPE] ... [key=COLUMN,...]    a contact table; columns are texts without a type
    given service SETTING=VALUE ...           a server of its own with these settings (`max_body=1000`)
    given failure ERROR                       whoever authenticates is answered with that core error (`StorageFull`)
    wait                                      before the exchange: until files are processed and imports have ended

Request bodies: text behind an empty line, or `@NAME` alone for a sample file (those of `tests/wire/bodies.py`; one
beside the transcript wins), or a section `[multipart]` or `[form]` of `name: value` lines, where a value that begins
with `@` is a sample file with optional `; filename="..."; type=...`. `{{bytes N}}` is N times the letter x.

Expected headers are compared, others are not looked at; `Name: {{absent}}` wants it missing. Without a section behind
an empty line the body must be empty. JSON is compared with its order of keys and without its white space.

Masks stand for what differs each time: those of MASKS below, `{{/regular expression/}}`, and any of them with a name
(`{{uuid:handle}}`), which is remembered: `{{handle}}` in the same or a later answer or in a later request is what it
was. `{{base}}` is the server's URL, `{{host}}` its host and port.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

MASKS: Mapping[str, str] = {
    "any": r"[\s\S]*",
    "text": r'[^"\n]+',
    "int": r"\d+",
    "hex": r"[0-9a-f]+",
    "hex32": r"[0-9a-f]{32}",
    "sha256": r"[0-9a-f]{64}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)",
    "stamp": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "year": r"\d{4}",
    "month": r"(?:[1-9]|1[0-2])",
    "number": r"-?\d+(?:\.\d+)?",
    "url": r'https?://[^\s"]+',
    "jwt": r"[\w-]+\.[\w-]+\.[\w-]+",
    "token": r"[\w.~+/=-]+",
}

_REQUEST = re.compile(r"([A-Z]+) (/\S*)")
_STATUS = re.compile(r"HTTP (\d{3})")
_HEADER = re.compile(r"([\w-]+):[ \t]*(.*)")
_SLOT = re.compile(r"\{\{(/[^\n]*?/(?::\w+)?|[^{}]+)\}\}")
_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_FILE = re.compile(r'@([\w.-]+)((?:;\s*[\w*]+=(?:"[^"]*"|[^;\s]+))*)')
_OPTION = re.compile(r';\s*([\w*]+)=(?:"([^"]*)"|([^;\s]+))')

_DIRECTIVES = ("given ", "wait")


Wrong = Callable[[str], "TranscriptError"]  # knows the file and line


class TranscriptError(ValueError):
    """The transcript itself is wrong: which file and line, and what would be right."""


@dataclass(frozen=True)
class Part:
    """One field of a form; `file` names a sample."""

    name: str
    value: str = ""
    file: str | None = None
    filename: str | None = None
    content_type: str | None = None


@dataclass
class Exchange:
    title: str
    line: int
    method: str = ""
    path: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str | None = None
    form: str | None = None  # "multipart" or "form"
    parts: list[Part] = field(default_factory=list)
    directives: list[str] = field(default_factory=list)
    status: int = 0
    expected_headers: list[tuple[str, str]] = field(default_factory=list)
    expected_body: str | None = None


@dataclass
class Transcript:
    path: Path
    title: str
    directives: list[str]
    exchanges: list[Exchange]

    def __str__(self) -> str:
        return f"{self.path.parent.parent.name}/{self.path.stem}"

    def given(self, what: str) -> list[list[str]]:
        """The words behind each `given WHAT`."""
        return [d.split()[2:] for d in self.directives if d.split()[:2] == ["given", what]]


# --- reading -------------------------------------------------------------------------------------


def read(path: Path) -> Transcript:
    blocks = _blocks(path.read_text("utf-8"))
    title, directives, exchanges = "", [], []
    for number, (line, heading, lines) in enumerate(blocks):
        comments, rest, offset = _comments(lines)
        prose = [c for c in comments if not c.startswith(_DIRECTIVES)]
        found = [c for c in comments if c.startswith(_DIRECTIVES)]
        if number == 0:
            title = " ".join(prose)
            directives = [d for d in found if d.startswith("given ")]
            found = [d for d in found if not d.startswith("given ")]
        exchanges.append(_exchange(path, heading or title, line + offset, rest, found))
    if not title:
        raise TranscriptError(f"{path}: begin with a comment that says what the transcript shows")
    return Transcript(path, title, directives, exchanges)


def _blocks(text: str) -> list[tuple[int, str, list[str]]]:
    blocks: list[tuple[int, str, list[str]]] = [(1, "", [])]
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("###"):
            blocks.append((number + 1, line[3:].strip(), []))
        else:
            blocks[-1][2].append(line)
    return blocks


def _comments(lines: list[str]) -> tuple[list[str], list[str], int]:
    comments: list[str] = []
    for number, line in enumerate(lines):
        if line.startswith("#"):
            comments.append(line[1:].strip())
        elif line.strip():
            return comments, lines[number:], number
    return comments, [], len(lines)


def _exchange(path: Path, title: str, line: int, lines: list[str], directives: list[str]) -> Exchange:
    def wrong(what: str) -> TranscriptError:
        return TranscriptError(f"{path}:{line}: {what}")

    exchange = Exchange(title, line, directives=directives)
    asked = _REQUEST.fullmatch(lines[0].strip()) if lines else None
    if asked is None:
        raise wrong("an exchange begins with a request line such as `GET /path`")
    exchange.method, exchange.path = asked[1], asked[2]
    answer = next((n for n, text in enumerate(lines) if _STATUS.fullmatch(text.strip())), None)
    if answer is None:
        raise wrong("an exchange needs its answer, such as `HTTP 200`")
    headers, body = _message(lines[1:answer], wrong)
    exchange.headers = headers
    if body and body[0].strip() in ("[multipart]", "[form]"):
        exchange.form = body[0].strip("[] ")
        exchange.parts = [_part(text, wrong) for text in body[1:] if text.strip()]
    else:
        exchange.body = "\n".join(body).strip("\n") or None
    exchange.status = int(lines[answer].split()[1])
    exchange.expected_headers, body = _message(lines[answer + 1 :], wrong)
    exchange.expected_body = "\n".join(body).strip("\n") or None
    return exchange


def _message(lines: list[str], wrong: Wrong) -> tuple[list[tuple[str, str]], list[str]]:
    headers: list[tuple[str, str]] = []
    for number, text in enumerate(lines):
        if not text.strip() or text.startswith("["):
            return headers, lines[number:] if text.startswith("[") else lines[number + 1 :]
        found = _HEADER.fullmatch(text)
        if found is None:
            raise wrong(f"{text!r} is no header")
        headers.append((found[1], found[2].strip()))
    return headers, []


def _part(text: str, wrong: Wrong) -> Part:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon:
        raise wrong(f"{text!r} is no form field; write `name: value`")
    found = _FILE.fullmatch(value)
    if found is None:
        return Part(name.strip(), value)
    options = {key: quoted or plain for key, quoted, plain in _OPTION.findall(found[2])}
    return Part(name.strip(), "", found[1], options.get("filename", found[1]), options.get("type"))


# --- asking --------------------------------------------------------------------------------------


class Memory(dict[str, str]):
    """What is known under a name: codes and secrets that were given, and what masks have seen."""

    def fill(self, text: str) -> str:
        """The text with its slots filled, for a request."""

        def value(match: re.Match[str]) -> str:
            slot = match[1]
            if slot.startswith("basic "):
                return basic(slot.removeprefix("basic ").strip(), self)
            if slot.startswith("bytes "):
                return "x" * int(slot.split()[1])
            if slot not in self:
                raise TranscriptError(f"nothing is known as {{{{{slot}}}}}; known are {', '.join(sorted(self))}")
            return self[slot]

        return _SLOT.sub(value, text)


def basic(login: str, memory: Memory) -> str:
    """`anna@acme`, or with a password of one's own: `anna@acme:wrong`."""
    login, colon, password = login.partition(":")
    user, _, company = login.rpartition("@")
    login = f"{user}@{memory.get(company, company)}"
    if not colon:
        password = memory["password"]
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def encode_form(parts: list[Part], memory: Memory, sample: Callable[[str], bytes]) -> tuple[bytes, str]:
    """`multipart/form-data` as curl sends it."""
    boundary = "------------------------golden0transcript"
    out: list[bytes] = []
    for part in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"'
        if part.file is None:
            out.append(f"{head}\r\n\r\n{memory.fill(part.value)}\r\n".encode())
            continue
        head += f'; filename="{memory.fill(part.filename or "")}"'
        if part.content_type:
            head += f"\r\nContent-Type: {part.content_type}"
        out.append(f"{head}\r\n\r\n".encode() + sample(part.file) + b"\r\n")
    return b"".join([*out, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def encode_urlencoded(parts: list[Part], memory: Memory) -> tuple[bytes, str]:
    pairs = [(part.name, memory.fill(part.value)) for part in parts]
    return urlencode(pairs).encode(), "application/x-www-form-urlencoded"


# --- comparing -----------------------------------------------------------------------------------


def compare(expected: str, actual: str, memory: Memory) -> bool:
    """Whether the text is as expected; what named masks saw is remembered if it is."""
    names: list[str] = []
    pattern = "".join(_pattern(piece, names, memory) for piece in _pieces(expected))
    found = re.fullmatch(pattern, actual)
    if found is None:
        return False
    for name in names:
        memory[name] = found[name]
    return True


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """(text, whether it is a slot)"""
    position = 0
    for slot in _SLOT.finditer(text):
        yield text[position : slot.start()], False
        yield slot[1], True
        position = slot.end()
    yield text[position:], False


def _pattern(piece: tuple[str, bool], names: list[str], memory: Memory) -> str:
    text, slot = piece
    if not slot:
        return re.escape(text)
    if text.startswith("/"):
        expression, _, name = text[1:].rpartition("/")
        name = name.removeprefix(":")
    else:
        mask, _, name = text.partition(":")
        if text in names:
            return f"(?P={text})"
        if mask not in MASKS:
            return re.escape(memory.fill("{{" + text + "}}"))
        expression = MASKS[mask]
    if not name:
        return f"(?:{expression})"
    if name in MASKS:
        raise TranscriptError(f"{name!r} is a mask; remember what {{{{{text}}}}} saw under another name")
    if name in names:
        return f"(?P={name})"
    names.append(name)
    return f"(?P<{name}>{expression})"


def compact(text: str) -> str:
    """JSON, with or without slots, without the white space between its tokens."""
    return _BLANKS.sub(lambda match: match[1] or "", text)


def compact_json(body: bytes) -> str:
    """The body in the form that `compact` gives, its keys in their order. Raises ValueError if it is not JSON."""
    return json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":"))
