"""The walk through archives: it shows everything, or says what it could not."""

from __future__ import annotations

import errno
import gzip
import io
import tarfile
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.scanners.archives import Kind, Problem, Walk
from loadingdock.adapters.scanners.limits import Limits
from tests import samples

DEFAULT = Limits()


def walk(data: bytes, limits: Limits = DEFAULT, folder: Path | None = None) -> tuple[dict[str, bytes], list[Problem]]:
    """Every file by its name in the walk, and the problems."""
    seen: dict[str, bytes] = {}

    def look(file: BinaryIO, name: str) -> None:
        file.seek(0)
        seen[name] = file.read()

    walking = Walk(look, limits, folder)
    walking.through(io.BytesIO(data))
    return seen, walking.problems


def kinds(data: bytes, limits: Limits = DEFAULT) -> list[Kind]:
    return [problem.kind for problem in walk(data, limits)[1]]


FILES = {"a.txt": b"hello", "b/c.txt": b"world" * 1000}


@pytest.mark.parametrize(
    "data",
    [
        samples.zip_file(FILES),
        samples.seven_zip(FILES),
        samples.tar_file(FILES, ""),
        b"MZ" + bytes(500) + samples.zip_file(FILES),
    ],
    ids=["zip", "7z", "tar", "self-extracting"],
)
def test_everything_is_shown(data: bytes) -> None:
    seen, problems = walk(data)
    assert seen == {"": data, "/a.txt": FILES["a.txt"], "/b/c.txt": FILES["b/c.txt"]}
    assert not problems


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_compressed_tars_are_two_layers(compression: str) -> None:
    data = samples.tar_file(FILES, compression)  # type: ignore[arg-type]  # three of the four literals
    seen, problems = walk(data)
    assert list(seen) == ["", "/content", "/content/a.txt", "/content/b/c.txt"]
    assert not problems


def test_formats_within_formats() -> None:
    inner = samples.zip_file({"deep.txt": b"deep"})
    data = samples.zip_file({"x": samples.tar_file({"y": samples.seven_zip({"z": inner})})})
    seen, problems = walk(data)
    assert seen["/x/content/y/z/deep.txt"] == b"deep"
    assert not problems


def test_large_entries_go_to_a_file_without_a_name(tmp_path: Path) -> None:
    large = bytes(range(256)) * (20 << 10)
    files: list[bool] = []

    def look(file: BinaryIO, name: str) -> None:
        if name:
            assert not isinstance(file, io.BytesIO)
            with open(f"/dev/fd/{file.fileno()}", "rb") as again:  # as the rules' engine opens it
                files.append(again.read() == large)

    Walk(look, Limits(), tmp_path).through(io.BytesIO(samples.zip_file({"large": large})))
    assert files == [True]
    assert not list(tmp_path.iterdir())


def test_what_looking_raises_ends_the_walk() -> None:
    class Found(Exception):
        pass

    def look(file: BinaryIO, name: str) -> None:
        if name.endswith("virus"):
            raise Found

    for data in (
        samples.zip_file({"virus": b"x"}),
        samples.seven_zip({"virus": b"x"}),
        samples.tar_file({"virus": b""}),
    ):
        with pytest.raises(Found):
            Walk(look, Limits()).through(io.BytesIO(data))


def test_a_problem_does_not_end_the_walk() -> None:
    data = samples.zip_file(
        {
            "1": samples.encrypted_zip({"secret": b"x"}),
            "2": samples.zip_with_link(),
            "3": samples.tar_file(FILES)[:-20],
            "4": samples.zip_file({"../out": b"x"}),
            "5": samples.zip_file({"packed": b"x"}, 14),
            "6": b"the last",
        }
    )
    seen, problems = walk(data)
    assert seen["/6"] == b"the last"
    assert seen["/4/../out"] == b"x"
    assert [p.kind for p in problems] == [Kind.ENCRYPTED, Kind.UNSAFE, Kind.DAMAGED, Kind.UNSAFE, Kind.UNKNOWN]


@pytest.mark.security(16)
def test_the_budget_is_one_for_the_whole_upload() -> None:
    each = samples.zip_file({str(n): bytes(1000) for n in range(5)})
    data = samples.zip_file({str(n): each for n in range(5)})
    assert kinds(data, Limits(unpacked=20_000)) == [Kind.LIMIT]
    assert kinds(data, Limits(entries=20)) == [Kind.LIMIT]
    assert kinds(data, Limits(unpacked=60_000, entries=30)) == []


@pytest.mark.security(16)
@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "/a", "\\a", "a\\..\\b", "C:\\a", "c:/a"])
def test_names_that_lead_out(name: str) -> None:
    assert kinds(samples.zip_file({name: b"x"})) == [Kind.UNSAFE]
    assert kinds(samples.tar_file({name: b"x"}, "")) == [Kind.UNSAFE]


@pytest.mark.parametrize("name", ["a", "a/b", "..a", "a..", "a/..b/c", "a/", "Ünï/cödé"])
def test_names_that_do_not(name: str) -> None:
    assert kinds(samples.zip_file({name: b""})) == []


# --- tar -----------------------------------------------------------------------------------------


@pytest.mark.security(16)
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(kind: bytes) -> None:
    assert kinds(samples.tar_with_link(kind)) == [Kind.UNSAFE]


def test_a_second_tar_behind_the_end_of_the_first() -> None:
    """`tar -i` goes on there, the library does not; what is compressed in it would not be seen."""
    first = samples.tar_file({"a": b"x"}, "")
    assert kinds(first + bytes(5 * 512)) == []
    assert kinds(first + samples.tar_file({"b": gzip.compress(b"x")}, "")) == [Kind.DAMAGED]


def test_a_header_that_is_none_in_the_middle_of_a_tar() -> None:
    data = bytearray(samples.tar_file({"a": b"x" * 600, "b": b"y"}, ""))
    data[512 + 1024 : 512 + 1024 + 8] = b"garbage!"
    assert kinds(bytes(data)) == [Kind.DAMAGED]


def test_a_cut_tar() -> None:
    assert kinds(samples.tar_file({"a": b"x" * 2000}, "")[:1500]) == [Kind.DAMAGED]


@pytest.mark.parametrize("size", [b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7, b"\xff" * 12, b"77777777777\0"])
def test_sizes_that_a_tar_cannot_have(size: bytes) -> None:
    """Larger than any file, negative, and larger than this one."""
    data = bytearray(samples.tar_file({"a": b"x" * 600, "b": b"y"}, ""))
    data[124:136] = size
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert kinds(bytes(data)) == [Kind.DAMAGED]


# --- 7z ------------------------------------------------------------------------------------------


def test_something_behind_a_7z() -> None:
    assert kinds(samples.seven_zip(FILES) + b"x") == [Kind.DAMAGED]


def test_a_7z_with_a_password() -> None:
    assert kinds(samples.seven_zip(FILES, password="secret")) == [Kind.ENCRYPTED]


# --- mutations -----------------------------------------------------------------------------------

VIRUS = {"first.txt": b"hello" * 50, "virus": samples.eicar(), "last.txt": b"world"}
ARCHIVES = samples.Files(
    {
        "tar": lambda: samples.tar_file(VIRUS, ""),
        "tar.gz": lambda: gzip.compress(ARCHIVES["tar"]),
        "7z": lambda: samples.seven_zip(VIRUS),
    }
)
changes = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4)


def damaged(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    out = bytearray(data)
    for at, value in changes:
        out[at % len(out)] = value
    return bytes(out)


def by_tarfile(data: bytes) -> bool:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return any(samples.eicar() in archive.extractfile(m).read() for m in archive if m.isreg())  # type: ignore[union-attr]  # regular ones have content
    except Exception:  # whatever damage makes it raise: nothing was unpacked
        return False


def by_py7zr(data: bytes) -> bool:
    import py7zr
    from py7zr.io import BytesIOFactory

    factory = BytesIOFactory(1 << 20)
    try:
        with py7zr.SevenZipFile(io.BytesIO(data)) as archive:
            archive.extractall(factory=factory)
    except Exception:  # as above
        return False
    return any(samples.eicar() in product.read() for product in factory.products.values())


@pytest.mark.security(17)
@given(st.sampled_from(sorted(ARCHIVES)), changes)
def test_no_damage_hides_what_another_program_would_unpack(name: str, changes: list[tuple[int, int]]) -> None:
    reader = by_py7zr if name == "7z" else by_tarfile
    data = damaged(ARCHIVES[name], changes)
    seen, problems = walk(data)
    assert problems or any(samples.eicar() in content for content in seen.values()) or not reader(data)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c"]),
)
def test_total(data: bytes, magic: bytes) -> None:
    seen, _ = walk(magic + data)
    assert seen[""] == magic + data


def test_a_failing_disk_is_no_problem_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be called unscannable, which would be final."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        walk(samples.zip_file({"large": bytes(5 << 20)}))
