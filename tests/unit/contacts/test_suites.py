"""Suites of other readers. What they expect is expected, or it is said here what is, and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from tests.unit.contacts.reading import QUOTED, read

SUITES = Path(__file__).resolve().parents[2] / "suites" / "csv"

Record: TypeAlias = list[str] | str
"""Values, or the code that it is rejected with."""


def records(source: bytes | Path, dialect: Dialect = QUOTED) -> list[tuple[int, Record]]:
    """Each with its line. These files have records of any number of values: they are read once for each number."""
    found: dict[int, tuple[int, Record]] = {}
    widths, seen = [1], {1}
    for width in widths:
        done = read(source, width, dialect)
        for row in done.rejected:
            (error,) = row.errors
            if counted := re.match(r"The record has (\d+) value", error.reason):
                count = int(counted[1])
                if count not in seen:
                    seen.add(count)
                    widths.append(count)
            else:
                found[row.ordinal] = (row.line, error.code)
        rejected = {row.ordinal for row in done.rejected}
        good = (ordinal for ordinal in range(1, done.reader.totals.records + 1) if ordinal not in rejected)
        for ordinal, line, values in zip(good, done.lines, done.rows, strict=True):
            found[ordinal] = (line, [value or "" for value in values])
    return [found[ordinal] for ordinal in sorted(found)]


def only(found: list[tuple[int, Record]]) -> list[Record]:
    return [record for _, record in found]


def cases(suite: str) -> dict[str, dict[str, Any]]:
    return {case["name"]: case for case in json.loads((SUITES / suite).read_text())}


SPECTRUM = sorted(path.stem for path in (SUITES / "csv-spectrum").glob("*.csv"))


@pytest.mark.parametrize("name", SPECTRUM)
def test_csv_spectrum(name: str) -> None:
    names, *rows = only(records(SUITES / "csv-spectrum" / f"{name}.csv"))
    expected = json.loads((SUITES / "csv-spectrum" / f"{name}.json").read_text())
    if name == "location_coordinates":
        # A value with a quote that does not begin with one. Besides, its JSON has another telephone number.
        assert rows == ["quote_in_value"]
        return
    assert [dict(zip(names, row, strict=True)) for row in rows] == expected


LONE_CR = "a lone CR ends a line, as on old Macs"
BLANK = "a blank line is no record, however many columns there are"
IN_VALUE = "in a value that does not begin with a quote a quote is broken, and what was meant is not guessed"
AFTER = "blanks behind a closing quote are text: nothing is cut off"
ONE_LINE = "a record with broken quotes is its first line, and what they would have swallowed is read"
ESCAPE = "a backslash escapes nothing"
ONE_CHARACTER = "a separator is one character that ends no line"
EMPTY = "records of empty values are records"

PAPA: dict[str, tuple[list[Record], str]] = {
    "Unquoted field with quotes at end of field": (["quote_in_value"], IN_VALUE),
    "Quoted field with whitespace around quotes": (["quote_in_value"], IN_VALUE),
    "Misplaced quotes in data, not as opening quotes": (["quote_in_value"], IN_VALUE),
    "Misplaced quotes in data twice, not as opening quotes": (["quote_in_value", "quote_in_value"], IN_VALUE),
    "Quoted field has no closing quote": (["unclosed_quote", ["d", "e", "f"]], ONE_LINE),
    "Quoted field has invalid trailing quote after delimiter with a valid closer": (
        ["text_after_quote", ["d", "e", "f"]],
        ONE_LINE,
    ),
    "Quoted field has invalid trailing quote after delimiter": (["text_after_quote", ["d", "e", "f"]], ONE_LINE),
    "Quoted field has invalid trailing quote before delimiter": (["text_after_quote", ["e", "f", "g"]], ONE_LINE),
    "Quoted field has invalid trailing quote after new line": (["text_after_quote", "quote_in_value"], ONE_LINE),
    "One column input with empty fields": ([["a"], ["b"], ["c"], ["d"], ["e"]], BLANK),
    "Blank line at beginning": ([["a", "b", "c"], ["d", "e", "f"]], BLANK),
    "Blank line in middle": ([["a", "b", "c"], ["d", "e", "f"]], BLANK),
    "Blank lines at end": ([["a", "b", "c"], ["d", "e", "f"]], BLANK),
    "Empty lines": ([["a", "b", "c"], ["d", "e", "f"]], BLANK),
    "Quoted fields with spaces between closing quote and next delimiter": (
        ["text_after_quote", "text_after_quote"],
        AFTER,
    ),
    "Quoted fields with spaces between closing quote and next new line": (
        ["text_after_quote", "text_after_quote", ["Q", "W", "E", "R"]],
        AFTER,
    ),
    "Quoted fields with spaces after closing quote": (
        ["text_after_quote", "text_after_quote", "text_after_quote"],
        AFTER,
    ),
    "Quoted fields with spaces between closing quote and next delimiter and contains delimiter": (
        ["text_after_quote", ["E", "F", "G", "H"]],
        AFTER,
    ),
    "Quoted fields with spaces between closing quote and newline and contains newline": (
        ["text_after_quote", "unclosed_quote", ["d", "e", "f"]],
        AFTER,
    ),
    "Mixed slash n and slash r should choose first as precident": (
        [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]],
        LONE_CR,
    ),
    "Bad delimiter (\\n)": (["bad_dialect"], ONE_CHARACTER),
    "Multi-character delimiter": (["bad_dialect"], ONE_CHARACTER),
    "Multi-character delimiter (length 2) with quoted field": (["bad_dialect"], ONE_CHARACTER),
    "Custom escape character in the middle": (["text_after_quote"], ESCAPE),
    "Custom escape character at the end": (["text_after_quote"], ESCAPE),
    "Parsing with skipEmptyLines set to 'greedy'": (
        [["a", "b"], ["", ""], ["c", "d"], [" ", " "], ["", " "], ["\t", "\t"], ["", "", "", "", ""]],
        EMPTY,
    ),
    "Parsing with skipEmptyLines set to 'greedy' with quotes and delimiters as content": (
        [["a", "b"], ["", ""], ["c", "d"], [" , ", ","], ['" "', '""']],
        EMPTY,
    ),
}


@pytest.mark.parametrize("name", cases("papaparse.json"))
def test_papa_parse(name: str) -> None:
    case = cases("papaparse.json")[name]
    expected, _ = PAPA.get(name, (case["rows"], ""))
    try:
        found = only(records(case["input"].encode(), Dialect(case["separator"], case["quote"])))
    except FileRefused as refused:
        found = [refused.code]
    assert found == expected
    assert (expected != case["rows"]) == (name in PAPA)


GO: dict[str, tuple[list[tuple[int, Record]], str]] = {
    "BareCR": ([(1, ["a", "b"]), (2, ["c", "d"])], LONE_CR),
    "FieldCR": ([(1, ["field"]), (2, ["field"])], LONE_CR),
    "FieldCRCR": ([(1, ["field"]), (3, ["field"])], LONE_CR),
    "FieldCRCRLF": ([(1, ["field"]), (3, ["field"])], LONE_CR),
    "FieldCRCRLFCR": ([(1, ["field"]), (4, ["field"])], LONE_CR),
    "FieldCRCRLFCRCR": ([(1, ["field"]), (5, ["field"])], LONE_CR),
    "MultiFieldCRCRLFCRCR": ([(1, ["field1", "field2"]), (5, ["field1", "field2"]), (9, ["", ""])], LONE_CR),
    "QuotedTrailingCRCR": ([(1, ["field"])], LONE_CR),
    "CRLFInQuotedField": ([(1, ["A", "Hello\r\nHi", "B"])], "line ends within a value are kept as they are"),
    "BinaryBlobField": ([(1, "undecodable")], "no byte is taken that is no character"),
    "StartLine1": ([(1, "text_after_quote"), (2, "quote_in_value")], ONE_LINE),
    "StartLine2": ([(1, ["a", "b"]), (2, "unclosed_quote"), (4, ["", "e"])], ONE_LINE),
}
GO_ERRORS = {"BareQuote": {"quote_in_value"}, "Quote": {"text_after_quote", "unclosed_quote"}}


@pytest.mark.parametrize("name", cases("go.json"))
def test_go(name: str) -> None:
    case = cases("go.json")[name]
    found = records(case["input"].encode("utf-8", "surrogateescape"), Dialect(case["separator"], '"'))
    if name in GO:
        assert found == GO[name][0]
        return
    good = len(case["rows"])
    assert found[:good] == list(zip(case["lines"], case["rows"], strict=False))
    if case["error"] in GO_ERRORS:  # there it stops reading
        assert [(line, code in GO_ERRORS[case["error"]]) for line, code in found[good:]] == [
            (case["lines"][good], True)
        ]
    else:
        assert len(found) == good


ABC = (1, ["a", "b", "c"])
CSVKIT: dict[str, list[tuple[int, Record]]] = {
    "bad.csv": [
        (1, ["column_a", "column_b", "column_c"]),
        (2, ["1", "27", "", "I'm too long!"]),
        (3, ["", "I'm too short!"]),
        (4, ["0", "mixed types.... uh oh", "17"]),
    ],
    "blanks.csv": [(1, ["a", "b", "c", "d", "e", "f"]), (2, ["", "NA", "N/A", "NONE", "NULL", "."])],
    "dummy.csv.gz": [ABC, (2, ["1", "2", "3"])],
    "dummy.tsv": [ABC, (2, ["1", "2", "3"])],
    "empty.csv": [],
    "mac_newlines.csv": [ABC, (2, ["1", "2", "3"]), (3, ["Once upon\ra time", "5", "6"])],
    "null_byte.csv": [ABC, (2, "nul")],
    "test_empty_columns.csv": [
        (1, ["a", "b", "c", "", ""]),
        (2, ["a", "", "", "", ""]),
        (3, ["", "", "c", ""]),
        (4, ["", "", "", "", ""]),
    ],
    "test_empty_columns_long_row.csv": [ABC, (2, ["", "", "", ""])],
    "test_header_newline.csv": [
        (1, ["\t\n\x0b\x0c\r start \t\n\x0b\x0c\r end \t\n\x0b\x0c\r", "b", "c"]),
        (8, ["d", "e", "f"]),
    ],
    "test_latin1.csv": [ABC, (2, ["1", "2", "3"]), (3, "undecodable")],
    "test_locale.csv": [ABC, (2, ["1,7", "200.000.000", ""])],
    "test_skip_lines.csv": [(4, ["a", "b", "c"]), (5, ["1", "2", "3"])],
    "test_utf16_big.csv": [ABC, (2, ["1", "2", "3"]), (3, ["4", "5", "ʤ"])],
    "test_utf16_little.csv": [ABC, (2, ["1", "2", "3"]), (3, ["4", "5", "ʤ"])],
    "test_utf8_bom.csv": [(1, ["foo", "bar", "baz"]), (2, ["1", "2", "3"]), (3, ["4", "5", "ʤ"])],
}


@pytest.mark.parametrize("name", sorted(path.name for path in (SUITES / "csvkit").iterdir()))
def test_csvkit(name: str) -> None:
    assert records(SUITES / "csvkit" / name, Dialect("\t" if name.endswith(".tsv") else ",", '"')) == CSVKIT[name]


def test_csvkits_latin_1() -> None:
    file = SUITES / "csvkit" / "test_latin1.csv"
    assert records(file, Dialect(quote='"', encoding="latin-1"))[-1] == (3, ["4", "5", "©"])


def test_every_difference_is_one() -> None:
    assert set(PAPA) <= set(cases("papaparse.json"))
    assert set(GO) <= set(cases("go.json"))
