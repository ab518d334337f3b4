"""Real files, made on the spot: each is what its name says, and says something that can be found in it again."""

from __future__ import annotations

import io
import struct
import zlib

from loadingdock.core.diagnosis import eicar


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
    import docx as word

    document = word.Document()
    document.add_heading("Report", level=1)
    document.add_paragraph(text)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def xlsx(text: str) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["note", "amount"])
    sheet.append([text, 42])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
