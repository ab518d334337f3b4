"""Real files, made on the spot: each is what its name says, and says something that can be found in it again."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from xml.sax.saxutils import escape

from loadingdock.core.diagnosis import eicar

_SCHEMAS = "http://schemas.openxmlformats.org"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_NONE: Mapping[str, str] = MappingProxyType({})


def pdf(text: str, filling: bytes = b"") -> bytes:
    """One page with one line of text (ISO 32000-1, 7.5: header, body, cross-reference table, trailer). ASCII only.
    `filling` goes into a stream that no page shows."""
    shown = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    stream = f"BT /F1 14 Tf 72 720 Td ({shown}) Tj ET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    if filling:
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(filling), filling))
    file = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % place for place in places)
    file += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)


def png(width: int = 64, height: int = 64, *, comment: bytes = b"") -> bytes:
    """A gradient, 8 bits RGB (PNG specification, 5: chunks). `comment` goes into a tEXt chunk."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(width) for value in (x * 4 % 256, y * 4 % 256, 128)) for y in range(height)
    )
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    if comment:
        chunks.append(_chunk(b"tEXt", b"Comment\0" + comment))
    chunks += [_chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def infected_png() -> bytes:
    """A picture that carries the EICAR test file."""
    return png(16, 16, comment=eicar())


def docx(text: str) -> bytes:
    """One paragraph (ECMA-376 Part 1, 11.3: the parts that a WordprocessingML package needs)."""
    body = f"<w:body><w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p></w:body>"
    document = f'<w:document xmlns:w="{_SCHEMAS}/wordprocessingml/2006/main">{body}</w:document>'
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return _package("word/document.xml", kind, {"word/document.xml": document})


def xlsx(text: str) -> bytes:
    """A sheet with two rows (ECMA-376 Part 1, 12.3: the parts that a SpreadsheetML package needs)."""
    main, relationships = f"{_SCHEMAS}/spreadsheetml/2006/main", f"{_SCHEMAS}/officeDocument/2006/relationships"
    rows = (("note", "amount"), (text, "42"))
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row) + "</row>"
        for row in rows
    )
    return _package(
        "xl/workbook.xml",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        {
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relationships}">'
            '<sheets><sheet name="Ledger" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
            "xl/_rels/workbook.xml.rels": _relationships(f"{relationships}/worksheet", "worksheets/sheet1.xml"),
        },
        {"/xl/worksheets/sheet1.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"},
    )


def _relationships(kind: str, target: str) -> str:
    relationship = f'<Relationship Id="rId1" Type="{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{_SCHEMAS}/package/2006/relationships">{relationship}</Relationships>'


def _package(main: str, kind: str, parts: Mapping[str, str], others: Mapping[str, str] = _NONE) -> bytes:
    """An Open Packaging container (ECMA-376 Part 2). `others` are the types of parts besides the main one."""
    types = "".join(
        f'<Override PartName="{name}" ContentType="{type}"/>' for name, type in {f"/{main}": kind, **others}.items()
    )
    head = {
        "[Content_Types].xml": f'<Types xmlns="{_SCHEMAS}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{types}</Types>',
        "_rels/.rels": _relationships(f"{_SCHEMAS}/officeDocument/2006/relationships/officeDocument", main),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**head, **parts}.items():
            archive.writestr(name, _XML + content)
    return file.getvalue()
