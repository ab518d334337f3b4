"""libmagic passes the contract of type detectors, and tells the types that the APIs care about."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.types import HEAD, MagicDetector
from loadingdock.core import types
from loadingdock.testing import types as contract
from tests import samples


@pytest.fixture(scope="module")
def detector() -> MagicDetector:
    return MagicDetector()


class TestMagicDetector(contract.TypeDetectorContract):
    pass


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a.avif": (lambda: samples.image("AVIF"), "image/avif"),
    "a.bmp": (lambda: samples.image("BMP"), "image/bmp"),
    "a.gif": (samples.gif, "image/gif"),
    "a.heic": (samples.heic, "image/heic"),
    "a.heif": (samples.heic, "image/heic"),
    "a.ico": (lambda: samples.image("ICO"), "image/vnd.microsoft.icon"),
    "a.jpeg": (samples.jpeg, "image/jpeg"),
    "a.jpg": (samples.jpeg, "image/jpeg"),
    "a.png": (samples.png, "image/png"),
    "a.svg": (samples.svg, "image/svg+xml"),
    "a.tif": (lambda: samples.image("TIFF"), "image/tiff"),
    "a.tiff": (lambda: samples.image("TIFF"), "image/tiff"),
    "a.webp": (samples.webp, "image/webp"),
    "a.csv": (samples.csv_file, "text/csv"),
    "a.docx": (samples.docx_file, types.DOCX),
    "a.pdf": (samples.pdf, "application/pdf"),
    "a.txt": (samples.text_file, "text/plain"),
    "a.xlsx": (samples.xlsx_file, types.XLSX),
    "a.7z": (lambda: samples.seven_zip({"a": b"b"}), "application/x-7z-compressed"),
    "a.gz": (lambda: samples.tar_file({"a": b"b"}), "application/gzip"),
    "a.tar": (lambda: samples.tar_file({"a": b"b"}, ""), "application/x-tar"),
    "a.zip": (lambda: samples.zip_file({"a": b"b"}), "application/zip"),
    "a.json": (lambda: b'{"a": 1}', "application/json"),
    "a.md": (lambda: b"# Title\n\nText.\n", "text/markdown"),
    "a.xml": (lambda: b'<?xml version="1.0"?><a/>', "text/xml"),
    "a.html": (lambda: b"<!DOCTYPE html><title>x</title>", "text/html"),
    "a.exe": (lambda: b"MZ\x90\x00" + bytes(200), "application/vnd.microsoft.portable-executable"),
}
FILES["a.xml with its name alone"] = FILES.pop("a.xml")
NAMED = [name for name in FILES if " " not in name]


@pytest.mark.parametrize("name", FILES)
async def test_types(detector: MagicDetector, tmp_path: Path, name: str) -> None:
    make, type = FILES[name]
    data = make()
    path = tmp_path / "blob"
    path.write_bytes(data)
    assert await detector.detect(data[:8192], name.split()[0]) == type
    assert await detector.detect_file(path, name.split()[0]) == type


@pytest.mark.security(13)
@pytest.mark.parametrize("name", NAMED)
async def test_what_a_file_is_agrees_with_its_name(detector: MagicDetector, name: str) -> None:
    make, type = FILES[name]
    data = make()
    detected = await detector.detect(data[:8192], name)
    assert types.agrees(name, type, detected) is None
    assert types.agrees(name, None, detected) is None
    wrong = "x.png" if not name.endswith("png") else "x.jpg"
    assert types.agrees(wrong, None, detected) is not None


@pytest.mark.security(16)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
async def test_pixels(detector: MagicDetector, tmp_path: Path, format: samples.ImageFormat) -> None:
    path = tmp_path / "image"
    path.write_bytes(samples.image(format, (123, 45)))
    assert await detector.pixels(path, f"image/{format.lower()}") == 123 * 45


async def test_a_document_with_macros_is_no_docx(detector: MagicDetector, tmp_path: Path) -> None:
    main = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    path = tmp_path / "blob"
    path.write_bytes(samples.zip_file({"[Content_Types].xml": b'<Override ContentType="%s"/>' % main}))
    assert await detector.detect_file(path, "a.docx") == "application/vnd.ms-word.document.macroenabled.12"


@pytest.mark.parametrize(
    ("entries", "type"),
    [
        ({"mimetype": b"application/vnd.oasis.opendocument.text"}, "application/vnd.oasis.opendocument.text"),
        ({"mimetype": b"application/epub+zip"}, "application/epub+zip"),
        ({"mimetype": b"image/png"}, "application/zip"),
        ({"META-INF/MANIFEST.MF": b""}, "application/java-archive"),
    ],
)
async def test_zip_containers(detector: MagicDetector, tmp_path: Path, entries: samples.Entries, type: str) -> None:
    path = tmp_path / "blob"
    path.write_bytes(samples.zip_file(entries))
    assert await detector.detect_file(path, "a") == type


def test_loading_the_wheel_leaves_no_traces() -> None:
    """Its import changes the library path of the process, which every child would inherit."""
    assert "pylibmagic" not in "".join(os.environ.values())


def test_from_many_threads_at_once(detector: MagicDetector) -> None:
    """libmagic's cookies belong to one thread at a time."""
    together = threading.Barrier(8)

    def detect(n: int) -> set[str]:
        together.wait()
        name, (make, _) = list(FILES.items())[n % 3 * 4]
        data = make()
        return {detector._detect(data, name, None) for _ in range(100)}

    with ThreadPoolExecutor(8) as pool:
        assert all(len(found) == 1 for found in pool.map(detect, range(8)))


@pytest.mark.parametrize(
    "unit",
    [b"<!--", b"-->", b"<!-- x -->", b"<?xml ", b"<!DOCTYPE svg [", b" ", b"\n", b"\r\n", b"\t ", b"(", b"{\n"],
)
def test_hostile_heads_are_cheap(detector: MagicDetector, unit: bytes) -> None:
    """What backtracks, in our patterns or libmagic's, would cost seconds here."""
    begun = time.process_time()
    detector._detect(b"<!--" + unit * (HEAD // len(unit)), "a.svg", None)
    detector._detect(unit * (HEAD // len(unit)), "a.svg", None)
    assert time.process_time() - begun < 1


@given(head=st.binary(max_size=200), name=st.text(max_size=20))
def test_detection_is_total(detector: MagicDetector, head: bytes, name: str) -> None:
    for start in (b"", b"PK\x03\x04", b"<svg", b"\0\0\0\x18ftypmif1", b"RIFF....WEBP", b"BM", b"\0\0\x01\0", b"%PDF-"):
        data = start + head
        assert detector._detect(data, name, None).count("/") == 1
        assert detector._detect(data, name, io.BytesIO(data)).count("/") == 1
