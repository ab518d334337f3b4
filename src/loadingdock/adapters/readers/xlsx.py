"""Text of XLSX by openpyxl's reading mode: every sheet's name, then its rows with tabs between the cells."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import openpyxl

from loadingdock.adapters.readers import Unreadable
from loadingdock.adapters.readers.package import open_package


def read(file: BinaryIO, limit: int) -> Iterator[str]:
    """Formulas give the values that were last computed for them."""
    open_package(file)
    file.seek(0)
    with warnings.catch_warnings(action="ignore"):  # about styles and extensions that are not text
        try:
            workbook = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            for sheet in workbook.worksheets:
                yield f"{sheet.title}\n"
                sheet.reset_dimensions()  # what the file claims; rows would be padded up to it
                for row in sheet.iter_rows(values_only=True):
                    cells = "\t".join(map(_cell, row)).rstrip("\t")
                    if cells:
                        yield cells + "\n"
        except (Unreadable, MemoryError):
            raise
        except Exception as error:  # openpyxl lets through whatever its XML made happen
            raise Unreadable(f"it is damaged ({type(error).__name__})") from error


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
