"""The strict zip reader: it reads what honest programs write, and refuses whatever can be read in two ways."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.zips import BadZip, TooManyEntries, UnknownMethod, open_zip
from tests import samples

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def read(data: bytes) -> dict[str, bytes] | None:
    """Everything, checked; None if there is no zip."""
    archive = open_zip(io.BytesIO(data), 1000)
    if archive is None:
        return None
    archive.check_layout()
    return {entry.name: b"".join(archive.read(entry)) for entry in archive.entries}


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\:/\ufffd"), min_size=1, max_size=8)


@given(st.dictionaries(names, st.binary(max_size=300), max_size=5), st.sampled_from([0, 8, 12]), st.binary(max_size=50))
def test_reads_what_zipfile_writes(entries: dict[str, bytes], method: int, prefix: bytes) -> None:
    data = samples.zip_file(entries, method)
    assert read(data) == entries
    if not prefix.startswith(b"PK"):
        assert read(prefix + data) == entries


def test_reads_a_zip_written_as_a_stream() -> None:
    """Sizes come after the data then, in a descriptor."""
    data = _streamed({"a": b"hello", "b": bytes(100_000)})
    assert data[6] & 8
    assert read(data) == {"a": b"hello", "b": bytes(100_000)}


def _streamed(entries: samples.Entries) -> bytes:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_reads_64_bit_sizes() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a", "w", force_zip64=True) as entry:
        entry.write(b"hello")
    assert read(out.getvalue()) == {"a": b"hello"}


def test_reads_a_64_bit_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = samples.zip_file({"a": b"x", "b": b"y"})
    assert read(data) == {"a": b"x", "b": b"y"}
    with pytest.raises(BadZip):  # the two ends differ
        read(patched(data, b"PK\x06\x06", 32, "Q", 1))
    with pytest.raises(BadZip):
        read(patched(data, b"PK\x06\x06", 0, "I", 0))


def test_an_empty_zip_has_nothing_in_it() -> None:
    assert read(samples.zip_file({})) == {}


@pytest.mark.parametrize(
    "data", [b"", b"P", b"hello", bytes(100_000), END + b"short", b"text " + END + bytes(4) + b"\xff" * 14]
)
def test_what_is_none(data: bytes) -> None:
    assert read(data) is None


def test_the_count_is_limited() -> None:
    with pytest.raises(TooManyEntries):
        open_zip(io.BytesIO(samples.zip_file({str(n): b"" for n in range(11)})), 10)


def test_a_method_that_is_not_known() -> None:
    with pytest.raises(UnknownMethod):
        read(samples.zip_file({"a": b"x"}, zipfile.ZIP_LZMA))


def test_flags_and_modes() -> None:
    def first(data: bytes) -> tuple[bool, bool]:
        archive = open_zip(io.BytesIO(data), 10)
        assert archive is not None
        return archive.entries[0].encrypted, archive.entries[0].symlink

    assert first(samples.zip_file({"a": b"x"})) == (False, False)
    assert first(samples.encrypted_zip({"a": b"x"})) == (True, False)
    assert first(samples.zip_with_link()) == (False, True)


# --- two readings --------------------------------------------------------------------------------

PLAIN = samples.zip_file({"a": b"hello", "b": b"world" * 100})


def patched(data: bytes, signature: bytes, offset: int, form: str, value: int, *, last: bool = False) -> bytes:
    """A field of the first (or last) record with that signature set to another value."""
    out = bytearray(data)
    at = out.rindex(signature) if last else out.index(signature)
    struct.pack_into("<" + form, out, at + offset, value)
    return bytes(out)


def hidden_entry() -> bytes:
    """An entry of which the directory knows nothing, before the one that it lists."""
    secret = samples.zip_file({"hidden": samples.eicar()})
    local = secret[: secret.index(CENTRAL)]
    plain = samples.zip_file({"a": b"hello"})
    moved = patched(plain, CENTRAL, 42, "I", len(local))
    return local + patched(moved, END, 16, "I", plain.index(CENTRAL) + len(local))


def overlapping() -> bytes:
    """Two entries of the directory with one and the same data, as small bombs have them."""
    plain = samples.zip_file({"a": b"hello"})
    at, end = plain.index(CENTRAL), plain.index(END)
    twice = plain[:at] + plain[at:end] * 2 + plain[end:]
    counted = patched(patched(twice, END, 8, "H", 2), END, 10, "H", 2)
    return patched(counted, END, 12, "I", 2 * (end - at))


def longer_than_said() -> bytes:
    """Both headers say five bytes and give their checksum; the data go on."""
    unpacked = b"hello" + samples.eicar()
    data = samples.zip_file({"a": unpacked})
    for signature, crc, size in ((LOCAL, 14, 22), (CENTRAL, 16, 24)):
        data = patched(data, signature, size, "I", 5)
        data = patched(data, signature, crc, "I", zlib.crc32(b"hello"))
    return data


TWO_READINGS = {
    "size in the directory": patched(PLAIN, CENTRAL, 24, "I", 1),
    "size in the header": patched(PLAIN, LOCAL, 22, "I", 1),
    "packed size": patched(PLAIN, CENTRAL, 20, "I", 1),
    "checksum": patched(PLAIN, CENTRAL, 16, "I", 1),
    "method": patched(PLAIN, LOCAL, 8, "H", 0),
    "encryption": patched(PLAIN, LOCAL, 6, "H", 1),
    "name": patched(PLAIN, LOCAL, 30, "B", ord("z")),
    "offset": patched(PLAIN, CENTRAL, 42, "I", 1),
    "far offset": patched(PLAIN, CENTRAL, 42, "I", 0x7FFFFFFF),
    "fewer entries": patched(patched(PLAIN, END, 8, "H", 1), END, 10, "H", 1),
    "more entries": patched(patched(PLAIN, END, 8, "H", 3), END, 10, "H", 3),
    "length of the directory": patched(PLAIN, END, 12, "I", 40),
    "second disk": patched(PLAIN, END, 4, "H", 1),
    "no end": PLAIN[:-22],
    "two ends": patched(PLAIN, END, 20, "H", len(END) + 18) + PLAIN[PLAIN.index(END) :],
    "hidden entry": hidden_entry(),
    "overlapping entries": overlapping(),
    "data behind what was said": longer_than_said(),
}


@pytest.mark.security(16)
@pytest.mark.security(17)
@pytest.mark.parametrize("case", TWO_READINGS)
def test_two_readings_are_refused(case: str) -> None:
    with pytest.raises(BadZip):
        read(TWO_READINGS[case])


# --- mutations -----------------------------------------------------------------------------------


def by_directory(data: bytes) -> Iterator[bytes]:
    """What a lenient program unpacks that believes the directory, checksums and sizes aside."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            offsets = [info.header_offset for info in archive.infolist()]
    except Exception:  # whatever a damaged zip makes the library raise: this program gives up
        return
    for offset in offsets:
        if offset >= 0:
            yield _content(data, offset)[0]


def from_the_front(data: bytes) -> Iterator[bytes]:
    """What a lenient program unpacks that reads one local header after the other."""
    at = 0
    while at >= 0 and data[at : at + 4] == LOCAL:
        content, end = _content(data, at)
        yield content
        at = data.find(LOCAL, end)


def _content(data: bytes, at: int) -> tuple[bytes, int]:
    head = data[at : at + 30]
    if len(head) < 30:
        return b"", len(data)
    method, packed, names, extras = struct.unpack_from("<8xH8xI4x2H", head)
    begin = at + 30 + names + extras
    if method == 0:
        return data[begin : begin + packed], begin + packed
    inflate = zlib.decompressobj(-15)
    content = bytearray()
    for n in range(begin, len(data)):
        try:
            content += inflate.decompress(data[n : n + 1])
        except zlib.error:
            return bytes(content), n
        if inflate.eof:
            return bytes(content), n + 1
    return bytes(content), len(data)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    virus = {"v": samples.eicar()}
    method = draw(st.sampled_from([0, 8]))
    before = {str(n): b"x" * 20 for n in range(draw(st.integers(0, 2)))}
    data = bytearray(
        draw(
            st.sampled_from(
                [
                    samples.zip_file({**before, **virus}, method),
                    samples.zip_file({**virus, **before}, method),
                    _streamed({**before, **virus}),
                    hidden_entry(),
                    longer_than_said(),
                    samples.zip_file(before) + samples.zip_file(virus),
                    samples.zip_file(virus) + samples.zip_file(before),
                ]
            )
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        if draw(st.booleans()):  # the interesting places: the fields of a header
            found = [i for i in range(len(data) - 3) if data[i : i + 2] == b"PK"]
            at = min(draw(st.sampled_from(found or [0])) + draw(st.integers(0, 46)), len(data) - 1)
        data[at] = draw(st.sampled_from([0, 1, 8, 0xFF, draw(st.integers(0, 255))]))
    return bytes(data)


@pytest.mark.security(17)
@given(mutated())
def test_no_mutation_hides_what_another_program_would_unpack(data: bytes) -> None:
    reachable = any(samples.eicar() in content for reader in (by_directory, from_the_front) for content in reader(data))
    try:
        found = read(data)
    except (BadZip, UnknownMethod, TooManyEntries):
        return  # unscannable, which is never wrong
    seen = samples.eicar() in data or any(samples.eicar() in content for content in (found or {}).values())
    encrypted = found is not None and any(e.encrypted for e in open_zip(io.BytesIO(data), 1000).entries)  # type: ignore[union-attr]  # it was read
    assert seen or encrypted or not reachable
