from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core.errors import ClientGone, DockError, InvalidInput, LimitExceeded, TooLarge, TooMany
from loadingdock.web.body import BATCH
from loadingdock.web.multipart import FilePart, Form, FormLimits, receive_form
from tests.unit.bodies import body_of

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
MIB = 1 << 20
CRLF = b"\r\n"
EVERY = FormLimits(files=1000)


@dataclass
class Received:
    form: Form
    files: list[tuple[str, str, str | None, bytes]]


def part(head: bytes, data: bytes) -> bytes:
    return b"--" + BOUNDARY.encode() + CRLF + head + CRLF + CRLF + data + CRLF


def text(name: str, value: str) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"'.encode(), value.encode())


def file(disposition: str, data: bytes = b"data", more: str = "") -> bytes:
    return part(f"Content-Disposition: form-data; {disposition}{more}".encode(), data)


END = b"--" + BOUNDARY.encode() + b"--" + CRLF


async def receive(
    data: bytes | Iterable[bytes],
    content_type: str | None = TYPE,
    limits: FormLimits = EVERY,
    then: str = "end",
    into: list[tuple[str, str, str | None, bytes]] | None = None,
) -> Received:
    files = [] if into is None else into

    async def on_file(part: FilePart) -> None:
        pieces = [piece async for batch in part.batches() for piece in batch]
        files.append((part.field, part.name, part.content_type, b"".join(pieces)))

    form = await receive_form(body_of(data, then=then), content_type, on_file, limits)
    return Received(form, files)


async def refused(data: bytes | Iterable[bytes], content_type: str | None = TYPE, then: str = "end") -> DockError:
    """The error; no file may have been taken for whole."""
    files: list[tuple[str, str, str | None, bytes]] = []
    with pytest.raises(DockError) as raised:
        await receive(data, content_type, then=then, into=files)
    assert files == []
    return raised.value


# --- forms as they should be -------------------------------------------------


async def test_fields_before_and_after_a_file() -> None:
    got = await receive(
        text("a", "1")
        + file('name="file"; filename="report.pdf"', b"%PDF", "\r\nContent-Type: Application/PDF; x=y")
        + text("b", "zwei")
        + text("a", "")
        + END
    )
    assert got.form.fields == [("a", "1"), ("b", "zwei"), ("a", "")]
    assert got.files == [("file", "report.pdf", "application/pdf", b"%PDF")]
    assert got.form.get("b") == "zwei"
    assert got.form.get("c") is None
    assert got.form.all("a") == ["1", ""]
    with pytest.raises(InvalidInput):
        got.form.get("a")


async def test_the_form_so_far_is_known_to_the_file() -> None:
    seen: list[list[tuple[str, str]]] = []

    async def on_file(part: FilePart) -> None:
        seen.append(list(part.form.fields))
        async for _ in part.batches():
            pass
        seen.append(list(part.form.fields))

    data = text("a", "1") + file('name="f"; filename="x"') + text("b", "2") + END
    await receive_form(body_of(data), TYPE, on_file)
    assert seen == [[("a", "1")], [("a", "1"), ("b", "2")]]


async def test_a_file_that_nobody_reads_is_passed_over() -> None:
    names = []

    async def on_file(part: FilePart) -> None:
        names.append(part.name)
        if part.name == "half":
            await anext(part.batches())

    data = b"".join(file(f'name="f"; filename="{name}"', bytes(100)) for name in ("none", "half", "last"))
    form = await receive_form(body_of(data + text("a", "1") + END), TYPE, on_file, EVERY)
    assert names == ["none", "half", "last"]
    assert form.fields == [("a", "1")]


async def test_file_bytes_come_in_full_batches() -> None:
    sizes: list[int] = []
    data = bytes(5 * MIB)

    async def on_file(part: FilePart) -> None:
        async for batch in part.batches():
            sizes.append(sum(map(len, batch)))

    whole = file('name="f"; filename="x"', data) + END
    await receive_form(body_of(whole[at : at + 200_000] for at in range(0, len(whole), 200_000)), TYPE, on_file)
    assert sum(sizes) == len(data)
    assert len(sizes) == 5
    assert max(sizes) < BATCH + 200_000


async def test_the_middle_of_a_file_is_handed_on_without_a_copy() -> None:
    pieces = [bytes(70_000) for _ in range(3)]
    got: list[bytes] = []

    async def on_file(part: FilePart) -> None:
        async for batch in part.batches():
            got.extend(batch)

    head, tail = file('name="f"; filename="x"', b"|").split(b"|")
    await receive_form(body_of([head, *pieces, tail + END]), TYPE, on_file)
    assert [id(piece) for piece in got] == [id(piece) for piece in pieces]


async def test_an_empty_form() -> None:
    assert await receive(END) == Received(Form(), [])


async def test_empty_files_and_names() -> None:
    got = await receive(file('name=""; filename=""', b"") + END)
    assert got.files == [("", "", None, b"")]


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\"), max_size=20)
TRICKY = st.lists(
    st.sampled_from(
        [
            b"\r",
            b"\n",
            b"-",
            CRLF,
            b"--",
            b"\r\n-",
            b"\r\n--",
            BOUNDARY.encode()[:-1],
            b"x",
            b"\0",
            b"\r\n--" + b"-" * 30,
        ]
    ),
    max_size=20,
).map(b"".join)
BYTES = st.one_of(st.binary(max_size=200), TRICKY)


def escaped(name: str) -> str:
    """As the HTML standard's multipart/form-data encoding has it."""
    return name.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")


def whatwg(name: str) -> str:
    """What can be told again: three escapes are written without escaping their own sign."""
    return name.replace("%0A", "\n").replace("%0D", "\r").replace("%22", '"')


@given(
    parts=st.lists(st.one_of(st.tuples(NAMES, VALUES), st.tuples(NAMES, NAMES, BYTES)), max_size=6),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
async def test_any_form_cut_anywhere(parts: list[tuple[str, str] | tuple[str, str, bytes]], cuts: list[int]) -> None:
    encoded = b""
    fields, files = [], []
    for one in parts:
        if len(one) == 2:
            encoded += text(escaped(one[0]), one[1])
            fields.append((whatwg(one[0]), one[1]))
        else:
            encoded += file(f'name="{escaped(one[0])}"; filename="{escaped(one[1])}"', one[2])
            files.append((whatwg(one[0]), whatwg(one[1]), None, one[2]))
    encoded += END
    edges = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
    got = await receive([encoded[a:b] for a, b in itertools.pairwise(edges)])
    assert got.form.fields == fields
    assert got.files == files


@given(st.lists(st.one_of(BYTES, st.sampled_from([part(b"", b""), text("a", "b"), END])), max_size=10))
async def test_no_bytes_do_more_than_be_refused(pieces: list[bytes]) -> None:
    with suppress(InvalidInput, LimitExceeded):
        await receive(pieces)


# --- names -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="f"; filename="report.pdf"', "report.pdf"),
        ("name=f; filename=report.pdf", "report.pdf"),
        ("name=f;filename=report.pdf;", "report.pdf"),
        ('name="f" ; filename = "a b.pdf"', "a b.pdf"),
        ('NAME="f"; FileName="a.pdf"', "a.pdf"),
        ('filename="a.pdf"; name="f"', "a.pdf"),
        ('name="f"; filename="Übung 日本.pdf"', "Übung 日本.pdf"),
        ('name="f"; filename="a%22b%0D%0Ac%20d%41.pdf"', 'a"b\r\nc%20d%41.pdf'),
        (r'name="f"; filename="a\"b.pdf"', 'a"b.pdf'),
        (r'name="f"; filename="C:\Users\me\a.pdf"', "a.pdf"),
        ('name="f"; filename="a;b=c.pdf"', "a;b=c.pdf"),
        ('name="f"; filename="=?utf-8?B?w6Q=?="', "=?utf-8?B?w6Q=?="),
        ('name="f"; filename=""', ""),
    ],
)
async def test_file_names(disposition: str, name: str) -> None:
    assert [(field, name) for field, name, _, _ in (await receive(file(disposition) + END)).files] == [("f", name)]


@pytest.mark.security(5)
@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("name=f; filename=\"a.pdf\"; filename*=UTF-8''evil.exe", "a.pdf"),
        ("name=f; filename*=UTF-8''evil.exe; filename=\"a.pdf\"", "a.pdf"),
        ('name=f; filename="a.pdf"; filename*=nonsense', "a.pdf"),
        ("name=f; filename*=UTF-8''%e2%82%ac%20rates.pdf", "€ rates.pdf"),
        ("name=f; filename*=utf-8'en'%E4%BD%A0.pdf", "你.pdf"),
        ("name=f; filename*=iso-8859-1''%fc.pdf", "ü.pdf"),
    ],
)
async def test_filename_wins_over_its_extended_form(disposition: str, name: str) -> None:
    assert [name for _, name, _, _ in (await receive(file(disposition) + END)).files] == [name]


@pytest.mark.security(5)
@pytest.mark.parametrize(
    "disposition",
    [
        "name=f; filename*=UTF-8''%ff.pdf",
        "name=f; filename*=UTF-7''a.pdf",
        "name=f; filename*=a.pdf",
        "name=f; filename*=\"UTF-8''a.pdf\"",
        'name="f"; filename="a.pdf"; filename="b.pdf"',
        'name="f"; name="g"; filename="a.pdf"',
        'name="f"; filename="a.pdf',
        'name="f"; filename="a.pdf\\"',
        'name="f"; filename="a.pdf" evil',
        'filename="a.pdf"',
        "name",
    ],
)
async def test_names_that_cannot_be_read(disposition: str) -> None:
    assert isinstance(await refused(file(disposition) + END), InvalidInput)


# --- heads -------------------------------------------------------------------


@pytest.mark.security(5)
@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "x-uuencode", "BASE64", "8bit, base64", ""])
async def test_an_encoded_part_is_refused(coding: str) -> None:
    data = file('name="f"; filename="x"', b"aGVsbG8=", f"\r\nContent-Transfer-Encoding: {coding}") + END
    assert isinstance(await refused(data), InvalidInput)


@pytest.mark.parametrize("coding", ["7bit", "8bit", "binary", "Binary "])
async def test_a_part_as_it_is(coding: str) -> None:
    got = await receive(file('name="f"; filename="x"', b"data", f"\r\nContent-Transfer-Encoding: {coding}") + END)
    assert got.files[0][3] == b"data"


@pytest.mark.security(5)
@pytest.mark.parametrize(
    "charset", ["nonsense", '"\\""', "utf-7", "unicode_escape", "idna", "rot13", "zip", "x" * 3000]
)
async def test_a_field_in_a_charset_that_is_not_known(charset: str) -> None:
    data = part(
        f'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset={charset}'.encode(), b"x"
    )
    assert isinstance(await refused(data + END), InvalidInput)


@pytest.mark.security(5)
@pytest.mark.parametrize("charset", ["nonsense", '"\\""', "\x00", "x" * 3000])
async def test_a_file_in_a_charset_that_is_not_known(charset: str) -> None:
    data = file('name="a"; filename="a.txt"', b"x", f"\r\nContent-Type: text/plain; charset={charset}")
    assert isinstance(await refused(data + END), InvalidInput)


@pytest.mark.parametrize(
    ("charset", "data"), [("iso-8859-1", b"\xfc"), ("UTF-8", b"\xc3\xbc"), ('"utf8"', b"\xc3\xbc"), ("cp1252", b"\xfc")]
)
async def test_a_field_in_a_charset(charset: str, data: bytes) -> None:
    head = f'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset={charset}'
    assert (await receive(part(head.encode(), data) + END)).form.get("a") == "ü"


async def test_a_field_that_is_not_utf_8() -> None:
    assert isinstance(await refused(part(b'Content-Disposition: form-data; name="a"', b"\xff") + END), InvalidInput)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain",
        b"Content-Disposition: attachment; name=a",
        b"Content-Disposition: form-data",
        b"Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        b"Content-Disposition: form-data; name=\xff",
        b"Content-Disposition: form-data; name=a\r\nContent-Length: 5",
        b"Content-Disposition: form-data; name=a\r\nContent-Length: -5",
        b"Content-Disposition: form-data; name=a\nX: y",
        b"Content-Disposition",
        b"Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=a; charset=b",
    ],
)
async def test_heads_that_cannot_be_read(head: bytes) -> None:
    assert isinstance(await refused(part(head, b"data") + END), InvalidInput)


# --- limits ------------------------------------------------------------------


@pytest.mark.security(3)
async def test_1001_parts() -> None:
    started = time.process_time()
    assert isinstance(await refused([text("a", "1")] * 1001 + [END]), TooMany)
    assert time.process_time() - started < 1
    assert len((await receive([text("a", "1")] * 1000 + [END])).form.fields) == 1000


@pytest.mark.security(3)
async def test_a_field_of_100_mb() -> None:
    head, _ = text("a", "|").split(b"|")
    body = body_of([head, *itertools.repeat(b"x" * 65536, 1600)])
    with pytest.raises(TooLarge):
        await receive_form(body, TYPE, _no_file)
    assert body.received < 2 * MIB


@pytest.mark.security(3)
async def test_all_fields_together() -> None:
    assert isinstance(await refused([text("a", "x" * 60_000)] * 20 + [END]), TooLarge)
    assert len((await receive([text("a", "x" * 65_536)] * 16 + [END])).form.fields) == 16


async def _no_file(part: FilePart) -> None:
    pytest.fail(f"{part.name} is no file")


async def test_more_files_than_the_wire_has() -> None:
    one = file('name="f"; filename="x"')
    files: list[tuple[str, str, str | None, bytes]] = []
    with pytest.raises(TooMany):
        await receive(one + text("a", "1") + one + END, limits=FormLimits(), into=files)
    assert files == [], "the first is not told its end before the second was refused"


@pytest.mark.security(4)
@pytest.mark.parametrize("split", [100, 65_536, 10 * MIB + 1000])
async def test_a_part_header_of_10_mb(split: int) -> None:
    data = part(b"Content-Disposition: form-data; name=a\r\nX: " + b"x" * 10 * MIB, b"")
    body = body_of(data[at : at + split] for at in range(0, len(data), split))
    started = time.process_time()
    with pytest.raises(InvalidInput):
        await receive_form(body, TYPE, _no_file)
    assert time.process_time() - started < 1
    assert body.received <= max(2 * MIB, split)


@pytest.mark.security(4)
async def test_a_part_with_10000_headers() -> None:
    started = time.process_time()
    assert isinstance(await refused(part(b"X: y\r\n" * 10_000 + b"Z: z", b"")), InvalidInput)
    assert time.process_time() - started < 1


@pytest.mark.security(4)
@pytest.mark.parametrize("filler", [b"\r\n", b"\n", b"\r", b"-", b"\r\n--", b"\r\n-" + b"-" * 36])
async def test_50_mb_around_the_parts(filler: bytes) -> None:
    """In front of them it is refused or passed over; behind them it is passed over. Either in linear time."""
    block = filler * (65_536 // len(filler))
    started = time.process_time()
    with suppress(InvalidInput):
        await receive([*[block] * 800, CRLF + text("a", "1"), END])
    got = await receive([text("a", "1"), END, *[block] * 800])
    assert got.form.fields == [("a", "1")]
    assert time.process_time() - started < 10


@pytest.mark.security(4)
@pytest.mark.parametrize("filler", [b"\r\n", b"\r", b"\r\n--", b"\r\n--" + BOUNDARY.encode()[:-1]])
@pytest.mark.parametrize("split", [65_536, 65_536 - 7])
async def test_a_file_full_of_what_could_be_a_boundary(filler: bytes, split: int) -> None:
    data = filler * (16 * MIB // len(filler))
    whole = file('name="f"; filename="x"', data) + END
    started = time.process_time()
    got = await receive(whole[at : at + split] for at in range(0, len(whole), split))
    assert time.process_time() - started < 10
    assert got.files[0][3] == data


@pytest.mark.security(4)
@pytest.mark.parametrize(
    "options",
    [
        ";" * 60_000,
        "; " * 30_000,
        ";" + " " * 60_000,
        ";a" * 30_000,
        "; a=" * 15_000,
        ';a="' + "\\" * 60_000,
        ';a="' * 15_000,
    ],
)
async def test_hostile_options_of_the_content_type(options: str) -> None:
    started = time.process_time()
    assert isinstance(await refused(END, f"multipart/form-data{options}x"), InvalidInput)
    assert time.process_time() - started < 1


# --- what is no form ---------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=a; boundary=b",
        f"multipart/form-data; boundary={'x' * 71}",
        'multipart/form-data; boundary="a\nb"',
        'multipart/form-data; boundary="a "',
        f"multipart/form-data; boundary={BOUNDARY}; charset=nonsense",
        "multipart/form-data, multipart/form-data; boundary=x",
    ],
)
async def test_what_is_no_form(content_type: str | None) -> None:
    error = await refused(END, content_type)
    assert isinstance(error, InvalidInput)
    assert error.field == "Content-Type"


@pytest.mark.parametrize("boundary", ["x", '"a b"', "----=_Part_1=?/", '"----=_Part_1;x"', "x" * 70])
async def test_boundaries(boundary: str) -> None:
    plain = boundary.strip('"').encode()
    data = END.replace(BOUNDARY.encode(), plain)
    assert (await receive(data, f"Multipart/Form-Data; Boundary={boundary}; charset=utf-8")).files == []


WHOLE = text("a", "1") + file('name="f"; filename="x"', b"some data") + text("b", "2") + END


@pytest.mark.parametrize("end", range(len(WHOLE) - 2))
async def test_a_form_that_ends_early(end: int) -> None:
    """At every byte; the file is never taken for whole."""
    assert isinstance(await refused(WHOLE[:end]), InvalidInput)


@pytest.mark.parametrize("end", range(len(WHOLE) - 2, len(WHOLE) + 1))
@pytest.mark.parametrize("cut", range(1, 12))
async def test_the_last_line_break_may_come_alone_or_not_at_all(end: int, cut: int) -> None:
    data = WHOLE[:end]
    assert len((await receive([data[:-cut], data[-cut:]])).files) == 1


async def test_a_client_that_goes_away() -> None:
    assert isinstance(await refused(WHOLE[:-80], then="disconnect"), ClientGone)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"--" + BOUNDARY.encode(),
        b"x" + WHOLE,
        WHOLE.replace(CRLF, b"\n"),
        WHOLE.replace(BOUNDARY.encode() + CRLF, BOUNDARY.encode() + b"x\r\n"),
        WHOLE.replace(b"some data\r\n", b"some data\r\n--" + BOUNDARY.encode() + b"more"),
    ],
)
async def test_malformed(data: bytes) -> None:
    assert isinstance(await refused(data), InvalidInput)


async def test_an_error_of_the_file_ends_the_form() -> None:
    async def on_file(part: FilePart) -> None:
        raise TooLarge(limit=1)

    with pytest.raises(TooLarge):
        await receive_form(body_of(WHOLE), TYPE, on_file)


async def test_an_error_that_was_swallowed_is_raised_all_the_same() -> None:
    async def on_file(part: FilePart) -> None:
        with suppress(InvalidInput):
            async for _ in part.batches():
                pass

    with pytest.raises(InvalidInput):
        await receive_form(body_of(WHOLE[:-20]), TYPE, on_file)
