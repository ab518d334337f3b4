"""Names that are paths, that hide something or lie, and ids that are none, on every way in (SECURITY.md, lines 9 to
11 and 13)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

import httpx
import pytest

from loadingdock.bootstrap import DATABASE
from tests import samples
from tests.acceptance.ways import EVERY_WAY, MANAGEMENT, SIGNED_URL, WAYS, Dock, Way
from tests.service import Service

pytestmark = pytest.mark.slow  # every way in times every input: for CI

PATHS = ("../evil.txt", "../../../../evil.txt", "/etc/evil.txt", "..\\evil.txt", "..", ".")
HIDING = (
    "a\x00.txt",
    "a\x1b[31m.txt",
    "a\r\nX-Evil: 1.txt",
    "\u202etxt.exe.txt",
    "a\u200f.txt",
    "a\u2028.txt",
    "\x7f.txt",
)
LONG = ("a" * 252 + ".txt", "ä" * 126 + ".txt", "a" * 20_000 + ".txt")
HARMLESS = (
    "%2e%2e%2fevil.txt",
    "日本語.txt",
    "-rf.txt",
    "$(id).txt",
    "a b+c&d=e;f'g.txt",
    "CON.txt",
    "~root.txt",
    "😀.txt",
)


@pytest.fixture(scope="module")
def dock(service: Service) -> Dock:
    return Dock(service)


def attempt(dock: Dock, way: Way, name: str, content: bytes = b"hello") -> httpx.Response:
    """The answer of whichever request judges the name: that which asks for the address, or that which brings the
    bytes."""
    with dock.client() as client:
        asked: list[httpx.Response] = []

        def keep(answer: httpx.Response) -> None:
            answer.read()
            asked.append(answer)

        client.event_hooks = {"response": [keep]}
        try:
            sending = way.sending(dock, client, name)
        except AssertionError:
            return asked[-1]
        client.event_hooks = {"response": []}
        return client.request(sending.method, sending.target, headers=sending.headers, content=sending.body(content))


def outside(dock: Dock) -> set[str]:
    """What lies in the installation's folder beside the store and the database."""
    data = dock.service.data
    return {path.name for path in (*data.iterdir(), *data.parent.iterdir()) if not path.name.startswith(DATABASE)}


@pytest.mark.security(9)
@pytest.mark.security(11)
@EVERY_WAY
def test_names_that_cannot_be_kept_are_refused(dock: Dock, way: Way) -> None:
    before, kept = outside(dock), len(dock.files())
    for name in (*PATHS, *HIDING, *LONG):
        answer = attempt(dock, way, name)
        # 404 and 405: a name that is a segment of a path may make that another path.
        assert 400 <= answer.status_code < 500, (name, answer.text)
        assert answer.status_code in (400, 404, 405, 414), (name, answer.text)
        assert not re.search(r'(?i)traceback|File "|No such file', answer.text)
    assert len(dock.files()) == kept
    assert outside(dock) == before
    assert not any("evil" in path.name for path in dock.service.stored())


@pytest.mark.security(9)
@pytest.mark.security(11)
@EVERY_WAY
def test_other_names_are_kept_as_they_are(dock: Dock, way: Way) -> None:
    before = {file.id for file in dock.files()}
    for name in HARMLESS:
        answer = attempt(dock, way, name)
        assert answer.is_success, (name, answer.text)
    files = [file for file in dock.files() if file.id not in before] or list(dock.files())
    assert {file.name for file in files} >= set(HARMLESS)
    for file in files:
        assert file.version.blob_key is not None
        assert re.fullmatch(r"[0-9a-f/]{32,}", file.version.blob_key)


@pytest.mark.security(11)
@EVERY_WAY
def test_both_spellings_are_one_name(dock: Dock, way: Way) -> None:
    names = [unicodedata.normalize(form, f"Ärger {way.name}.txt") for form in ("NFC", "NFD")]
    assert names[0] != names[1]
    for name in names:
        assert attempt(dock, way, name).is_success
    assert {file.name for file in dock.files() if way.name in file.name} == {names[0]}


@pytest.mark.security(11)
def test_every_name_that_is_kept_can_be_downloaded_under_it(dock: Dock) -> None:
    """RFC 6266 with RFC 8187: the name comes back whole, and no part of it becomes a header."""
    names = [*HARMLESS, 'quo"te.txt', "back%slash.txt", "comma,semi;.txt"]
    for name in names:
        assert attempt(dock, WAYS[2], name).is_success, name
    dock.desk.settled(dock.company)
    ids = {file.name: file.id for file in dock.files() if file.namespace}
    with dock.client() as client:
        for name in names:
            answer = client.get(f"{MANAGEMENT}/files/{ids[name]}/content", headers=dock.keyed)
            assert answer.content == b"hello", (name, answer.text)
            (value,) = answer.headers.get_list("content-disposition")
            assert value.isascii()
            assert named(value) == name


def named(disposition: str) -> str:
    if extended := re.search(r"filename\*=UTF-8''([^;]*)", disposition):
        return unquote(extended[1])
    plain = re.search(r'filename="((?:[^"\\]|\\.)*)"', disposition)
    assert plain is not None, disposition
    return re.sub(r"\\(.)", r"\1", plain[1])


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.security(13)
@EVERY_WAY
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.png", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("photo.png", samples.jpeg()),
        ("photo.jpg", b"MZ" + bytes(1000)),
        ("report.pdf", samples.zip_file({"a": b"b"})),
        ("x.php.jpg", samples.jpeg()),
        ("x.exe.pdf", samples.pdf()),
    ],
)
def test_extension_type_and_bytes_have_to_agree(dock: Dock, way: Way, name: str, content: bytes) -> None:
    before = dock.desk.orphans()
    answer = attempt(dock, way, name, content)
    # conversation-files and the requests for an address know no 415.
    assert answer.status_code in (400, 415), answer.text
    assert not any(file.name == name for file in dock.files())
    dock.service.until(lambda: dock.desk.orphans() <= before)


# --- ids -----------------------------------------------------------------------------------------


@pytest.mark.security(10)
def test_ids_outside_their_grammar_are_unknown(dock: Dock) -> None:
    odd = ("0", "-1", "1" * 400, "null", "%2e%2e", "%00", "%2F", "*", "' OR 1=1 --", "{}", "%F0%9F%98%80", "%FF")
    real = "11111111-1111-4111-8111-111111111111"
    spelled = (real.upper(), "{" + real + "}", real.replace("-", ""), f"urn:uuid:{real}", real + "%20", real + "%00")
    with dock.client() as client:
        missing = client.get(f"{MANAGEMENT}/files/{real}", headers=dock.keyed)
        absent = client.get(f"{SIGNED_URL}/{real}/status", headers=dock.end_user)
        assert (missing.status_code, absent.status_code) == (404, 404)
        for id in (*odd, *spelled):
            for tail in ("", "/content", "/text", "/versions", "/metadata", "/attachments"):
                answer = client.get(f"{MANAGEMENT}/files/{id}{tail}", headers=dock.keyed)
                assert answer.status_code in (404, 405), (id, tail, answer.text)
            for tail in ("", "/status", "/content"):
                answer = client.get(f"{SIGNED_URL}/{id}{tail}", headers=dock.end_user)
                assert answer.status_code in (404, 405, 422), (id, tail, answer.text)
            for path in (f"{MANAGEMENT}/uploads/{id}", f"/objects/{id}/{id}", f"/public/{id}/any/a.txt"):
                answer = client.get(path, headers=dock.keyed)
                assert answer.status_code in (403, 404, 405), (path, answer.text)


@pytest.mark.security(10)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_planted_link_is_not_followed(service: Service, dock: Dock, what: str) -> None:
    """Somebody who may write into the store's folder puts a symbolic link where bytes lay, or their folder."""
    assert WAYS[6].send(dock, b"hello", f"{what}.txt").is_success
    file = next(file for file in dock.settled() if file.name == f"{what}.txt")
    key = file.version.blob_key
    assert key is not None
    (path,) = (path for path in service.stored() if path.as_posix().endswith(key))
    elsewhere = service.data.parent / f"elsewhere-{what}"
    elsewhere.mkdir()
    planted = elsewhere / path.name
    planted.write_text("theirs")
    link = path if what == "file" else path.parent
    aside = link.rename(service.data.parent / f"aside-{what}")
    link.symlink_to(planted if what == "file" else elsewhere)
    try:
        with dock.client() as client:
            answer = client.get(f"{MANAGEMENT}/files/{file.id}/content", headers=dock.keyed)
            client.delete(f"{MANAGEMENT}/files/{file.id}", headers=dock.keyed)
    finally:
        link.unlink(missing_ok=True)
        aside.rename(link)
    # An open folder is the right one, whatever its name points at by now.
    assert answer.status_code >= 400 or (what == "folder" and answer.content == b"hello"), answer.text
    assert b"theirs" not in answer.content
    assert planted.read_text() == "theirs"
