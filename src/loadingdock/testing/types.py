"""What every TypeDetector must do. A test module subclasses `TypeDetectorContract` and gives a fixture `detector`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from loadingdock.core.ports.processing import TypeDetector
from loadingdock.testing import material

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

# (bytes, name, type): what the head alone must tell
BY_HEAD = [
    (b"", "empty.pdf", "application/x-empty"),
    (material.pdf(), "report.pdf", "application/pdf"),
    (material.pdf(), "no extension", "application/pdf"),
    (material.png(), "picture.png", "image/png"),
    (material.png(), "report.pdf", "image/png"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", "a.jpg", "image/jpeg"),
    (b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff;", "a.gif", "image/gif"),
    (b"Some words, and nothing else.\n", "a.txt", "text/plain"),
    (b"name,amount\nanna,1\nbert,2\n", "a.csv", "text/csv"),
    (b"name,amount\nanna,1\nbert,2\n", "a.txt", "text/plain"),
    (b"one column\nanna\nbert\n", "a.csv", "text/csv"),
    (b"<!DOCTYPE html><html><body>Hi</body></html>", "a.txt", "text/html"),
    (b"<!DOCTYPE html><html><body>Hi</body></html>", "a.csv", "text/html"),
    (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a.svg", "image/svg+xml"),
    (b'<?xml version="1.0"?>\n<!-- by hand -->\n<svg xmlns="x"/>', "a.txt", "image/svg+xml"),
    (material.docx("Hello"), "letter.docx", DOCX),
    (b"\x00\x01\x02\x03" * 8, "a.bin", "application/octet-stream"),
]
# what only the whole file can tell
BY_FILE = [
    *BY_HEAD,
    (material.docx("Hello"), "letter", DOCX),
    (material.docx("Hello"), "letter.zip", DOCX),
    (material.zipped({"a.txt": b"x"}), "letter.docx", "application/zip"),
    (material.zipped({"[Content_Types].xml": b"<Types/>"}), "letter.docx", "application/zip"),
]
BY_NAME = [
    ("report.PDF", "application/pdf"),
    ("a.b.csv", "text/csv"),
    ("letter.docx", DOCX),
    ("photo.jpeg", "image/jpeg"),
    ("no extension", None),
    (".pdf", None),
    ("", None),
    ("a.unheard-of", None),
]


class TypeDetectorContract:
    @pytest.mark.parametrize(("head", "name", "type"), BY_HEAD)
    async def test_by_head(self, detector: TypeDetector, head: bytes, name: str, type: str) -> None:
        assert await detector.detect(head, name) == type

    @pytest.mark.parametrize(("data", "name", "type"), BY_FILE)
    async def test_by_file(self, detector: TypeDetector, tmp_path: Path, data: bytes, name: str, type: str) -> None:
        path = tmp_path / "blob"
        path.write_bytes(data)
        assert await detector.detect_file(path, name) == type

    @pytest.mark.parametrize(("name", "type"), BY_NAME)
    def test_by_name(self, detector: TypeDetector, name: str, type: str | None) -> None:
        assert detector.of_name(name) == type

    @pytest.mark.parametrize(("data", "name", "type"), BY_FILE)
    async def test_never_an_exception(
        self, detector: TypeDetector, tmp_path: Path, data: bytes, name: str, type: str
    ) -> None:
        """Files that are cut off or have a byte changed, where a header may lead anywhere."""
        path = tmp_path / "blob"
        chance = random.Random(len(data))  # noqa: S311  nothing secret: the same damage every time
        for _ in range(10):
            damaged = bytearray(data[: chance.randint(0, len(data))] or b"x")
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            path.write_bytes(damaged)
            for found in (await detector.detect(bytes(damaged), name), await detector.detect_file(path, name)):
                assert found.count("/") == 1
                assert found == found.lower().strip()
            for claimed in ("image/png", "image/jpeg", "text/plain", ""):
                pixels = await detector.pixels(path, claimed)
                assert pixels is None or pixels >= 0

    async def test_a_missing_file_is_unknown(self, detector: TypeDetector, tmp_path: Path) -> None:
        assert await detector.detect_file(tmp_path / "nothing", "a.pdf") == "application/octet-stream"
        assert await detector.pixels(tmp_path / "nothing", "image/png") is None

    @pytest.mark.security(16)
    async def test_pixels_are_those_that_the_header_claims(self, detector: TypeDetector, tmp_path: Path) -> None:
        path = tmp_path / "image"
        path.write_bytes(material.png(7, 5))
        assert await detector.pixels(path, "image/png") == 35
        huge = bytearray(material.png(1, 1))
        huge[16:24] = b"\x7f\xff\xff\xff" * 2
        path.write_bytes(huge)
        assert await detector.pixels(path, "image/png") == 0x7FFFFFFF**2

    async def test_what_is_no_image_has_no_pixels(self, detector: TypeDetector, tmp_path: Path) -> None:
        path = tmp_path / "text"
        path.write_bytes(b"hello")
        assert await detector.pixels(path, "text/plain") is None
        assert await detector.pixels(path, "image/png") is None
