"""Text of PDF by pdfium, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw

from loadingdock.adapters.readers import Unreadable


def read(file: BinaryIO, limit: int) -> Iterator[str]:
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise Unreadable("it needs a password") from error
        raise Unreadable("it is damaged") from error
    try:
        for number in range(len(document)):
            yield from _page(document, number)
    finally:
        document.close()


def _page(document: pypdfium2.PdfDocument, number: int) -> Iterator[str]:
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return  # a damaged page does not take the others with it
    try:
        text = page.get_textpage()
        try:
            yield text.get_text_range().replace("\r\n", "\n") + "\n"
        finally:
            text.close()
    except pypdfium2.PdfiumError:
        return
    finally:
        page.close()
