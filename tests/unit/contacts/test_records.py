"""Awkward files, case by case: each is decided in docs/reference/csv.md."""

from __future__ import annotations

import pytest

from loadingdock.adapters.contacts.reading.batches import Batch
from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.contacts.reading.rules import Integer, Text
from tests.unit.contacts.reading import QUOTED, read, rules

PLAIN = Dialect()


@pytest.mark.parametrize(
    ("data", "rows", "lines"),
    [
        (b"", [], []),
        (b"\n\r\n\r", [], []),
        (b"1,2", [["1", "2"]], [1]),
        (b"1,2\n", [["1", "2"]], [1]),
        (b"1,2\r\n3,4\r\n", [["1", "2"], ["3", "4"]], [1, 2]),
        (b"1,2\r3,4\r", [["1", "2"], ["3", "4"]], [1, 2]),
        (b"1,2\r\r\n\n3,4", [["1", "2"], ["3", "4"]], [1, 4]),
        (b"\n\n1,2\n\n\n3,4\n", [["1", "2"], ["3", "4"]], [3, 6]),
        (b'1,"a\nb"\n3,4', [["1", "a\nb"], ["3", "4"]], [1, 3]),
        (b'1,"a\r\nb\rc\n"\r\n3,4', [["1", "a\r\nb\rc\n"], ["3", "4"]], [1, 5]),
        (b'"1","2"', [["1", "2"]], [1]),
        (b'"","""",""', [], None),
        (b'"""",""""""', [['"', '""']], [1]),
        (b'"a,b","c""d"', [["a,b", 'c"d']], [1]),
        (b"'1',2", [["'1'", "2"]], [1]),
        (b",", [[None, None]], [1]),
        (b'"",', [[None, None]], [1]),
        (b" 1 ,\t2", [[" 1 ", "\t2"]], [1]),
        (b"\\.,\\N\n1,2", [["\\.", "\\N"], ["1", "2"]], [1, 2]),
        ("ж,漢字\n😀,é".encode(), [["ж", "漢字"], ["😀", "é"]], [1, 2]),
        (b"NULL,null", [["NULL", "null"]], [1]),
    ],
)
def test_taken(data: bytes, rows: list[list[str | None]], lines: list[int] | None) -> None:
    done = read(data, 2)
    if lines is None:
        assert done.errors == [(1, None, "too_many_fields")]
        return
    assert (done.rows, done.lines, done.errors) == (rows, lines, [])


@pytest.mark.parametrize(
    ("data", "errors", "rows"),
    [
        (b"1\n1,2\n1,2,3\n", [(1, None, "too_few_fields"), (3, None, "too_many_fields")], [["1", "2"]]),
        (b'1,"a"x\n1,2', [(1, "b", "text_after_quote")], [["1", "2"]]),
        (b'1,a"x\n1,2', [(1, "b", "quote_in_value")], [["1", "2"]]),
        (b'1, "a"\n1,2', [(1, "b", "quote_in_value")], [["1", "2"]]),
        (b'1,5" pipe\n1,"a\nb"', [(1, "b", "quote_in_value")], [["1", "a\nb"]]),
        (b'1,"a\n1,2\n3,4', [(1, "b", "unclosed_quote")], [["1", "2"], ["3", "4"]]),
        (b'1,"a\n1,"b"\n3,4', [(1, "b", "text_after_quote")], [["1", "b"], ["3", "4"]]),
        (b'1,"', [(1, "b", "unclosed_quote")], []),
        (b'"', [(1, "a", "unclosed_quote")], []),
        (b"1,\0\n1,2", [(1, None, "nul")], [["1", "2"]]),
        (b'1,"\n\0"\n1,2', [(1, None, "nul")], [["1", "2"]]),
        (b"1,\xff\n1,2", [(1, None, "undecodable")], [["1", "2"]]),
        (b"1,\xed\xa0\x80\n1,2", [(1, None, "undecodable")], [["1", "2"]]),
    ],
)
def test_rejected(data: bytes, errors: list[tuple[int, str, str]], rows: list[list[str]]) -> None:
    done = read(data, 2)
    assert (done.errors, done.rows) == (errors, rows)
    lines = data.split(b"\n")
    for one in done.rejected:
        assert one.raw == (b'1,"\n\0"' if b'"\n\0' in data else lines[one.line - 1])


def test_reasons_say_what_where_and_what_would_be_right() -> None:
    data = b'1,2\n1\n1,"a\nb"c\n1,\xff\n'
    reasons = {error.code: error.reason for row in read(data, 2).rejected for error in row.errors}
    assert reasons == {
        "too_few_fields": "The record has 1 value, but there are 2 columns: add the missing ones, empty if need be.",
        "text_after_quote": "In value 2, in line 4, text follows the closing quote: double the quotes within the value,"
        " or end the value there. The next record begins with the next line.",
        "quote_in_value": "In value 1 a quote stands in a value that does not begin with one: quote the whole value and"
        " double the quotes within it. The next record begins with the next line.",
        "undecodable": "The byte at offset 17 of the file is no character of its encoding: name the encoding that the"
        " file has, or save it in the one that is named.",
    }


def test_without_a_quote_character_quotes_are_data() -> None:
    done = read(b'"1,2"\n"x""y","\n', 2, PLAIN)
    assert (done.rows, done.errors) == ([['"1', '2"'], ['"x""y"', '"']], [])


def test_tab_separates() -> None:
    assert read(b"1\t2,3\n", 2, Dialect("\t")).rows == [["1", "2,3"]]


def test_a_record_may_be_as_long_as_the_limit_and_a_field_too() -> None:
    limits = Limits(record=20, field=10, block=1)
    done = read(b"%s,%s\n" % (b"a" * 10, b"b" * 9), 2, limits=limits)
    assert done.errors == []
    done = read(b"%s,%s\n1,2" % (b"a" * 10, b"b" * 10), 2, limits=limits)
    assert done.errors == [(1, None, "record_too_long")]
    assert not done.rejected[0].whole
    done = read(b"%s,%s\n1,2" % (b"a" * 8, b"b" * 11), 2, limits=limits)
    assert done.errors == [(1, "b", "field_too_long")]
    assert done.rows == [["1", "2"]]


def test_all_wrong_values_of_a_record_are_reported_up_to_a_limit() -> None:
    done = read(b"x,,y,1\n1,2,3,4\n", [Integer()] * 4, required=True, limits=Limits(errors=2))
    assert done.errors == [(1, "a", "not_an_integer"), (1, "b", "required")]
    done = read(b"x,,y,1\n1,2,3,4\n", [Integer()] * 4, required=True)
    assert done.errors == [(1, "a", "not_an_integer"), (1, "b", "required"), (1, "c", "not_an_integer")]
    assert done.rows == [[1, 2, 3, 4]]


def test_rejected_records_and_good_ones_are_the_whole_file() -> None:
    data = b'1,2\n"a\n3,"4"\n5,6,7\n\xff,8\n"9\n0",1'
    done = read(data, 2)
    assert (done.lines, [row.line for row in done.rejected]) == ([1, 3, 6], [2, 4, 5])
    assert [row.ordinal for row in done.rejected] == [2, 4, 5]


def test_good_rows_know_their_own_bytes_too() -> None:
    (batch,) = read_batches(b'1,"2\n"\n3\n4,\xc3\xa9\n')
    assert [batch.raw(row) for row in range(2)] == [b'1,"2\n"', b"4,\xc3\xa9"]
    with pytest.raises(IndexError):
        batch.raw(2)


def read_batches(data: bytes) -> list[Batch]:
    of_table = rules([Text(), Text()])
    return list(open_records([data], QUOTED, of_table, list(of_table)))


@pytest.mark.parametrize(
    ("separator", "quote"), [("", ""), (",,", ""), (",", ","), ("\n", ""), (",", "\r"), ("\0", ""), (",", '""')]
)
def test_dialects_that_make_no_sense(separator: str, quote: str) -> None:
    with pytest.raises(FileRefused) as refused:
        Dialect(separator, quote)
    assert refused.value.code == "bad_dialect"
    assert refused.value.field in ("separator", "quote")
