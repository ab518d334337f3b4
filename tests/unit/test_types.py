"""Canonical types, extensions, and when a name, a declared type and the bytes agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core import types
from loadingdock.core.types import DOCX, XLSX, agrees, canonical, extension, type_of_name, types_of_extension


@pytest.mark.parametrize(
    ("written", "type"),
    [
        ("image/png", "image/png"),
        (" Image/JPG ; q=1", "image/jpeg"),
        ("image/x-ms-bmp", "image/bmp"),
        ("application/xml;charset=utf-8", "text/xml"),
        ("application/x-zip-compressed", "application/zip"),
        ("inode/x-empty", "application/x-empty"),
        ("", "application/octet-stream"),
        ("png", "application/octet-stream"),
        ("image/", "application/octet-stream"),
        ("image/png/x", "application/octet-stream"),
        ("im age/png", "application/octet-stream"),
        ("*/*", "application/octet-stream"),
    ],
)
def test_canonical(written: str, type: str) -> None:
    assert canonical(written) == type


@given(st.text())
def test_canonical_is_total_and_stays(written: str) -> None:
    assert canonical(canonical(written)) == canonical(written)


@pytest.mark.parametrize(
    ("name", "ext"),
    [
        ("a.PDF", "pdf"),
        ("a.tar.gz", "gz"),
        ("a.pdf. ", "pdf"),  # Windows drops dots and blanks at the end
        (".bashrc", ""),
        ("..", ""),
        ("a", ""),
        ("a.", ""),
        ("", ""),
        ("über.Ö", "ö"),
    ],
)
def test_extension(name: str, ext: str) -> None:
    assert extension(name) == ext


def test_every_image_of_the_file_service_is_known() -> None:
    for ext in ["png", "jpg", "jpeg", "gif", "webp", "avif", "bmp", "tif", "tiff", "svg", "ico", "heic", "heif"]:
        assert all(type.startswith("image/") for type in types_of_extension(ext))
        assert types_of_extension(ext)


def test_tables_are_canonical() -> None:
    """What the tables compare with is never something that `canonical` would rename."""
    for table in (types._EXTENSIONS.values(), types._FAMILIES, types._VAGUER.values(), [types._TEXTS, types._ZIPS]):
        for group in table:
            assert [canonical(type) for type in group] == list(group)
    assert all(canonical(type) == type for type in types._VAGUER)


@pytest.mark.parametrize(
    ("name", "declared", "detected"),
    [
        ("a.png", "image/png", "image/png"),
        ("a.PNG", "IMAGE/PNG; x=y", "image/png"),
        ("a.jpg", "image/jpg", "image/jpeg"),
        ("a.jpeg", None, "image/jpeg"),
        ("a.heic", "image/heif", "image/heic"),
        ("a.ico", "image/x-icon", "image/vnd.microsoft.icon"),
        ("a.bmp", "image/bmp", "image/x-ms-bmp"),
        ("a.svg", "image/svg+xml", "text/xml"),
        ("a.csv", "text/csv", "text/plain"),
        ("a.csv", "application/vnd.ms-excel", "text/csv"),  # as Windows has it
        ("a.csv", "text/plain", "text/csv"),
        ("a.txt", "text/plain", "text/x-python"),
        ("a.txt", "text/plain", "application/json"),
        ("a.md", "text/markdown", "text/plain"),
        ("a.json", "application/json", "text/plain"),
        ("a.docx", DOCX, "application/zip"),
        ("a.zip", "application/zip", DOCX),
        ("a.doc", "application/msword", "application/x-ole-storage"),
        ("a.mp3", "audio/mpeg", "application/octet-stream"),
        ("a.pdf", "application/octet-stream", "application/pdf"),
        ("a", "application/pdf", "application/pdf"),
        ("a.unknown", None, "application/pdf"),
        ("a.png", "image/png", "application/x-empty"),
        ("a.png", "image/png", None),
        ("www.example.com.pdf", None, "application/pdf"),
        ("node.js.pdf", None, "application/pdf"),
        ("v1.2.3.tar.gz", None, "application/gzip"),
        ("script.php", None, "text/x-php"),  # what may be sent at all is another question
    ],
)
def test_agreement(name: str, declared: str | None, detected: str | None) -> None:
    assert agrees(name, declared, detected) is None


@pytest.mark.security(13)
@pytest.mark.parametrize(
    ("name", "declared", "detected", "said"),
    [
        ("a.png", "image/png", "image/jpeg", "The extension .png stands for image/png, but the bytes are image/jpeg."),
        ("a.png", "image/jpeg", "image/png", "The extension .png stands for image/png, but image/jpeg was declared."),
        ("a", "image/png", "text/html", "The declared type is image/png, but the bytes are text/html."),
        ("a.png", None, "application/octet-stream", "but the bytes are application/octet-stream"),
        ("a.pdf", None, "application/vnd.microsoft.portable-executable", "but the bytes are"),
        ("a.txt", "text/plain", "text/html", "but the bytes are text/html"),
        ("a.csv", "text/csv", "text/html", "but the bytes are text/html"),
        ("a.txt", "text/plain", "image/svg+xml", "but the bytes are image/svg+xml"),
        ("a.svg", "image/svg+xml", "text/html", "but the bytes are text/html"),
        ("a.csv", "application/vnd.ms-excel", "application/x-ole-storage", "but the bytes are"),
        ("a.docx", DOCX, XLSX, "but the bytes are"),
        ("a.docx", DOCX, "application/vnd.ms-word.document.macroenabled.12", "but the bytes are"),
        ("a.doc", "application/msword", DOCX, "but the bytes are"),
        ("a.heic", None, "image/avif", "The extension .heic stands for image/heic or image/heif"),
        ("x.php.jpg", "image/jpeg", "image/jpeg", "The name 'x.php.jpg' hides the extension .php before its last one."),
        ("x.PhP5.jpg", None, None, "hides the extension .php5"),
        ("x.phtml.", None, None, "hides the extension .phtml"),
        ("x.php .jpg", None, None, "hides the extension .php"),
        ("x.asp;.jpg", None, None, "hides the extension .asp"),
        ("x.asp:.jpg", None, None, "hides the extension .asp"),
        ("x.asp;jpg", None, None, "hides the extension .asp"),
        (".htaccess.png", None, None, "hides the extension .htaccess"),
        ("setup.exe.pdf", None, None, "hides the extension .exe"),
    ],
)
def test_disagreement(name: str, declared: str | None, detected: str | None, said: str) -> None:
    sentence = agrees(name, declared, detected)
    assert sentence is not None
    assert said in sentence
    assert sentence.endswith(".")


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_agreement_is_total(name: str, declared: str | None, detected: str | None) -> None:
    assert agrees(name, declared, detected) is None or "\n" not in repr(agrees(name, declared, detected))


@given(st.sampled_from(sorted(types._EXTENSIONS)))
def test_an_extension_agrees_with_its_own_types(ext: str) -> None:
    for type in types_of_extension(ext):
        assert agrees(f"a.{ext}", type, type) is None
        assert agrees(f"a.{ext}", None, type) is None
    assert type_of_name(f"a.{ext.upper()}") in types_of_extension(ext)
