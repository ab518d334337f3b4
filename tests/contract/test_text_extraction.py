"""Text extraction passes its contract, and a hostile file costs a child alone."""

from __future__ import annotations

import datetime
import io
import struct
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from loadingdock.adapters.text import TextExtraction
from loadingdock.core import types
from loadingdock.core.errors import Unavailable
from loadingdock.testing import text as contract
from tests import samples

pytestmark = pytest.mark.asyncio(loop_scope="module")  # a child process is worth keeping


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def extractor() -> AsyncIterator[TextExtraction]:
    extraction = TextExtraction()
    yield extraction
    await extraction.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def short_extractor() -> AsyncIterator[TextExtraction]:
    extraction = TextExtraction(max_characters=contract.LIMIT)
    yield extraction
    await extraction.close()


class TestTextExtraction(contract.TextExtractorContract):
    pass


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    return tmp_path / "blob"


def _put(blob: Path, data: bytes) -> None:
    blob.write_bytes(data)


# --- what is read --------------------------------------------------------------------------------


async def test_pdf(extractor: TextExtraction, blob: Path) -> None:
    _put(blob, samples.pdf("First page\nsecond line", "Second page"))
    assert (await extractor.extract(blob, "application/pdf")).text == "First page\nsecond line\nSecond page\n"


async def test_pdf_with_a_password(extractor: TextExtraction, blob: Path) -> None:
    _put(blob, samples.pdf("secret", password="secret"))
    extracted = await extractor.extract(blob, "application/pdf")
    assert extracted.problem == "The text cannot be read: it needs a password."


async def test_docx_with_a_table(extractor: TextExtraction, blob: Path) -> None:
    _put(blob, samples.docx_file("Before", "a\tb", table=(("r1c1", "r1c2"), ("r2c1", "two\nlines"))))
    text = "Before\na\tb\nr1c1\tr1c2\nr2c1\ttwo\nlines\n"
    assert (await extractor.extract(blob, types.DOCX)).text == text


async def test_docx_says_nothing_twice(extractor: TextExtraction, blob: Path) -> None:
    """A shape is written twice, for old and new programs."""
    namespaces = (
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    )
    run = "<w:r><w:t>once</w:t></w:r>"
    both = f"<mc:AlternateContent><mc:Choice>{run}</mc:Choice><mc:Fallback>{run}</mc:Fallback></mc:AlternateContent>"
    _put(blob, _docx(f"<w:document {namespaces}><w:body><w:p>{both}</w:p></w:body></w:document>"))
    assert (await extractor.extract(blob, types.DOCX)).text == "once\n"


async def test_xlsx(extractor: TextExtraction, blob: Path) -> None:
    rows = (
        ("name", "amount", "paid", "on"),
        ("Zoë", 2.5, True, datetime.datetime(2024, 2, 29)),
        (None, 3.0, None, datetime.datetime(2024, 2, 29, 12, 30)),
        (),
        ("last",),
    )
    _put(blob, samples.xlsx_file(rows, sheet="Accounts"))
    assert (await extractor.extract(blob, types.XLSX)).text == (
        "Accounts\nname\tamount\tpaid\ton\nZoë\t2.5\tTRUE\t2024-02-29\n\t3\t\t2024-02-29T12:30:00\nlast\n"
    )


# --- what is hostile -----------------------------------------------------------------------------


def _docx(document: str, **parts: bytes) -> bytes:
    content_types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override '
        f'PartName="/word/document.xml" ContentType="{types.DOCX}.main+xml"/></Types>'
    )
    return samples.zip_file(
        {"[Content_Types].xml": content_types.encode(), "word/document.xml": document.encode(), **parts}
    )


BILLION_LAUGHS = (
    "<!DOCTYPE w ["
    + '<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + "]><w>&a9;</w>"
)


async def _problem(extractor: TextExtraction, blob: Path, data: bytes, type: str) -> str:
    """The problem with a hostile file; a good one is read next."""
    _put(blob, data)
    extracted = await extractor.extract(blob, type)
    assert extracted.text is None
    assert extracted.problem is not None
    _put(blob, b"next")
    assert (await extractor.extract(blob, "text/plain")).text == "next"
    return extracted.problem


@pytest.mark.security(16)
@pytest.mark.parametrize("part", ["word/document.xml", "[Content_Types].xml", "xl/sharedStrings.xml"])
async def test_entities_are_refused(extractor: TextExtraction, blob: Path, part: str) -> None:
    data = io.BytesIO(_docx("<a/>") if not part.startswith("xl") else samples.xlsx_file())
    hostile = samples.zip_file({**_parts(data), part: BILLION_LAUGHS.encode("utf-16" if "[" in part else "utf-8")})
    problem = await _problem(extractor, blob, hostile, types.XLSX if part.startswith("xl") else types.DOCX)
    assert problem == "The text cannot be read: its XML has a document type."


def _parts(package: io.BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(package) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
@pytest.mark.security(16)
@pytest.mark.parametrize("type", [types.DOCX, types.XLSX])
async def test_bombs_are_refused_before_they_unpack(extractor: TextExtraction, blob: Path, type: str) -> None:
    parts = _parts(io.BytesIO(samples.docx_file() if type == types.DOCX else samples.xlsx_file()))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        with archive.open("word/huge.xml", "w") as entry:
            for _ in range(129):
                entry.write(b" " * (1 << 20))
    assert "unpacks to more than" in await _problem(extractor, blob, bomb.getvalue(), type)


async def test_an_archive_with_two_readings_is_refused(extractor: TextExtraction, blob: Path) -> None:
    data = bytearray(samples.docx_file("Hello"))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1)  # the last entry's size, in the directory alone
    assert "damaged" in await _problem(extractor, blob, bytes(data), types.DOCX)


async def test_a_sheet_that_claims_to_be_huge(extractor: TextExtraction, blob: Path) -> None:
    """One cell at the far end of a sheet is one cell, not seventeen thousand million."""
    parts = _parts(io.BytesIO(samples.xlsx_file((("far",),))))
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = (
        sheet.replace(b'ref="A1"', b'ref="A1:XFD1048576"')
        .replace(b'r="A1"', b'r="XFD1048576"')
        .replace(b'row r="1"', b'row r="1048576"')
    )
    _put(blob, samples.zip_file(parts))
    extracted = await extractor.extract(blob, types.XLSX)
    assert extracted.text is not None
    assert extracted.text.split() == ["Data", "far"]


@pytest.mark.slow
async def test_cpu_time_is_limited(blob: Path) -> None:
    extraction = TextExtraction(cpu=1)
    try:
        row = b"<row>" + b"<c><v>1</v></c>" * 100 + b"</row>"
        parts = _parts(io.BytesIO(samples.xlsx_file()))
        sheet = parts["xl/worksheets/sheet1.xml"]
        begin, end = sheet.index(b"<sheetData>") + 11, sheet.index(b"</sheetData>")
        parts["xl/worksheets/sheet1.xml"] = sheet[:begin] + row * 40_000 + sheet[end:]
        data = samples.zip_file(parts)
        assert "used up its CPU time" in await _problem(extraction, blob, data, types.XLSX)
    finally:
        await extraction.close()


async def test_memory_is_limited(blob: Path) -> None:
    extraction = TextExtraction(memory=96 << 20, max_characters=100 << 20)
    try:
        data = bytes(90 << 20)
        assert "ran out of memory" in await _problem(extraction, blob, data, "text/plain")
    finally:
        await extraction.close()


async def test_closed_is_unavailable(blob: Path) -> None:
    extraction = TextExtraction()
    await extraction.close()
    await extraction.close()
    with pytest.raises(Unavailable):
        await extraction.extract(blob, "text/plain")
