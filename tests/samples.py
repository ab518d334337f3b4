"""Makers of real files for all tests. Nothing here is a file of the repository: EICAR's test string is put together at
run time, so that no antivirus takes a checkout for an infection. Every test process reads this file: libraries are
loaded by who first needs them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

MARKER = b"UPLOAD-SERVICE-TEST-VIRUS-MARKER"
Entries = Mapping[str, bytes]


class Files(Mapping[str, bytes]):
    """Files by a name for the test, each made when it is first asked for."""

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]) -> None:
        self._makers = makers
        self._made: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def eicar() -> bytes:
    """The 68 bytes of https://www.eicar.org/download-anti-malware-testfile/."""
    return b"".join((rb"X5O!P%@AP[4\PZX54(P^)", b"7CC)7}$", b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-", b"FILE!$H+H*"))


# --- documents -----------------------------------------------------------------------------------


def pdf(*pages: str, password: str | None = None) -> bytes:
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=A4, encrypt=password)
    for page in pages or ("Hello from a PDF",):
        for n, line in enumerate(page.splitlines()):
            sheet.drawString(72, 770 - 14 * n, line)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def docx_file(*paragraphs: str, table: tuple[tuple[str, ...], ...] = ()) -> bytes:
    import docx

    document = docx.Document()
    for paragraph in paragraphs or ("Hello from a DOCX",):
        document.add_paragraph(paragraph)
    if table:
        cells = document.add_table(rows=len(table), cols=len(table[0]))
        for row, values in zip(cells.rows, table, strict=True):
            for cell, value in zip(row.cells, values, strict=True):
                cell.text = value
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def xlsx_file(
    rows: tuple[tuple[Any, ...], ...] = (("Hello", "from an XLSX"), (1, 2.5)), *, sheet: str = "Data"
) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def csv_file(rows: int = 3) -> bytes:
    return b"name,amount\n" + b"".join(b"customer %d,%d.50\n" % (n, n) for n in range(rows))


def text_file() -> bytes:
    return "Grüße aus einer Textdatei, and a second sentence.\n".encode()


# --- images --------------------------------------------------------------------------------------

ImageFormat = Literal["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF"]


def image(format: ImageFormat = "PNG", size: tuple[int, int] = (32, 24), **options: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(out, format, **options)
    return out.getvalue()


def png(size: tuple[int, int] = (32, 24)) -> bytes:
    return image("PNG", size)


def jpeg(size: tuple[int, int] = (32, 24)) -> bytes:
    return image("JPEG", size)


def gif(size: tuple[int, int] = (32, 24)) -> bytes:
    return image("GIF", size)


def webp(size: tuple[int, int] = (32, 24)) -> bytes:
    return image("WEBP", size)


def svg() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>\n'


def heic(size: tuple[int, int] = (4032, 3024)) -> bytes:
    """The boxes that say what it is and how large; no encoder for the picture itself is free to ship."""
    ispe = _box(b"ispe", bytes(4) + size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big"))
    meta = _box(b"meta", bytes(4) + _box(b"iprp", _box(b"ipco", ispe)))
    return _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + meta + _box(b"mdat", bytes(64))


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


# --- archives ------------------------------------------------------------------------------------


def zip_file(entries: Entries, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def nested_zip(data: bytes, depth: int) -> bytes:
    """`data` in so many zips, each in the next."""
    for _ in range(depth):
        data = zip_file({"inner": data})
    return data


def tar_file(entries: Entries, compression: Literal["", "gz", "bz2", "xz"] = "gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}") as archive:
        for name, data in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def tar_with_link(kind: bytes = tarfile.SYMTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("link")
        member.type = kind
        member.linkname = "/etc/passwd"
        archive.addfile(member)
    return out.getvalue()


def zip_with_link() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def seven_zip(entries: Entries, password: str | None = None) -> bytes:
    import py7zr

    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", password=password) as archive:
        for name, data in entries.items():
            archive.writestr(data, name)
    return out.getvalue()


def encrypted_zip(entries: Entries) -> bytes:
    """With the flag and the header of PKWARE's old encryption; the bytes behind them are noise either way."""
    plain = zip_file({name: bytes(12) + data for name, data in entries.items()}, zipfile.ZIP_STORED)
    whole = bytearray(plain)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = whole.find(signature)
        while at >= 0:
            whole[at + flags] |= 1
            at = whole.find(signature, at + 4)
    return bytes(whole)


def zip_bomb(unpacked: int = 80 << 20) -> bytes:
    """A thousand times smaller than what is in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as entry:
        for _ in range(unpacked >> 20):
            entry.write(bytes(1 << 20))
    return out.getvalue()


# --- infected, each in its own way ---------------------------------------------------------------


def infected_docx() -> bytes:
    document = io.BytesIO(docx_file())
    with zipfile.ZipFile(document, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/embeddings/object1.bin", eicar())
    return document.getvalue()


@cache
def infected() -> Files:
    """Every way of carrying EICAR that both scanners must find, by a name for the test."""
    virus = {"eicar.com": eicar()}
    return Files(
        {
            "whole": eicar,
            "at an offset": lambda: bytes(300_000) + eicar() + b"tail",
            "zip": lambda: zip_file(virus),
            "stored zip": lambda: zip_file(virus, zipfile.ZIP_STORED),
            "nested zip": lambda: nested_zip(eicar(), 3),
            "docx": infected_docx,
            "tar": lambda: tar_file(virus, ""),
            "tar.gz": lambda: tar_file(virus, "gz"),
            "tar.bz2": lambda: tar_file(virus, "bz2"),
            "tar.xz": lambda: tar_file(virus, "xz"),
            "7z": lambda: seven_zip(virus),
            "zip in 7z": lambda: seven_zip({"inner.zip": zip_file(virus)}),
            "self-extracting zip": lambda: b"MZ" + bytes(2000) + zip_file(virus),
        }
    )


@cache
def unscannable() -> Files:
    """What cannot be looked into whole, by a name for the test."""
    return Files(
        {
            "encrypted zip": lambda: encrypted_zip({"secret": b"secret"}),
            "encrypted 7z": lambda: seven_zip({"secret": b"secret"}, password="password"),
            "too deep": lambda: nested_zip(b"hello", 20),
            "bomb": zip_bomb,
            "damaged zip": lambda: zip_file({"a": b"hello"})[:-30],
            "link in zip": zip_with_link,
            "link in tar": tar_with_link,
            "hard link in tar": lambda: tar_with_link(tarfile.LNKTYPE),
            "path out of zip": lambda: zip_file({"../../evil": b"hello"}),
            "path out of tar": lambda: tar_file({"../../evil": b"hello"}),
            "absolute path": lambda: zip_file({"/etc/evil": b"hello"}),
        }
    )


@cache
def clean() -> Files:
    files = {"a.txt": b"hello", "b/c.txt": text_file()}
    return Files(
        {
            "nothing": lambda: b"",
            "text": text_file,
            "csv": csv_file,
            "pdf": pdf,
            "docx": docx_file,
            "xlsx": xlsx_file,
            "png": png,
            "jpeg": jpeg,
            "zip": lambda: zip_file(files),
            "nested zip": lambda: nested_zip(b"hello", 3),
            "tar": lambda: tar_file(files, ""),
            "tar.gz": lambda: tar_file(files, "gz"),
            "tar.xz": lambda: tar_file(files, "xz"),
            "7z": lambda: seven_zip(files),
            "self-extracting zip": lambda: b"MZ" + bytes(2000) + zip_file(files),
        }
    )
