"""Values of each type: what is taken and what is not, and that columns and single values agree."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.rules import (
    Boolean,
    Date,
    Datetime,
    Decimal,
    Email,
    Integer,
    Phone,
    Text,
    Type,
)
from loadingdock.adapters.contacts.reading.values.converters import converter
from loadingdock.adapters.contacts.reading.values.converting import Wrong, convert

UTC = dt.UTC
NUMBERS_OF_ENGINES = [
    "NaN",
    "nan",
    "1_000",
    "1e3",
    "１２",
    "٣",
    "infinity",
    "inf",
    "0x1F",
    "+5",
    "1,000",
    " 1",
    "1 ",
    "--1",
    "-",
]
DATES_OF_ENGINES = [
    "today",
    "now",
    "2023-2-3",
    "0000-01-01",
    "20230203",
    "2023-02-30",
    "2023-13-01",
    "23-02-03",
    "2023-02-00",
]

TAKEN: list[tuple[Type, str, Any]] = [
    (Text(), " as it is ", " as it is "),
    (Text(3), "漢字é", "漢字é"),
    (Text(1), "e\u0301", "é"),
    (Text(), "\u212b \u1112\u1161\u11ab \u2001 \u0387 \uf900 \U0002f800", "Å 한 \u2003 · 豈 丽"),
    (Integer(), "0", 0),
    (Integer(), "-0", 0),
    (Integer(), "007", 7),
    (Integer(), "9223372036854775807", 2**63 - 1),
    (Integer(), "-9223372036854775808", -(2**63)),
    (Integer(), "00000000000000000000000000012", 12),
    (Decimal(5, 2), "1", D("1.00")),
    (Decimal(5, 2), "-999.99", D("-999.99")),
    (Decimal(5, 2), "0001.5", D("1.50")),
    (Decimal(5, 2, comma=True), "12,5", D("12.50")),
    (Decimal(2, 2), "0.25", D("0.25")),
    (Decimal(3, 0), "999", D(999)),
    (Decimal(38, 2), "9" * 36 + ".99", D("9" * 36 + ".99")),
    (Boolean(), "true", True),
    (Boolean(), "No", False),
    (Boolean(), "1", True),
    (Boolean(("sí", "v"), ("no", "f")), "SÍ", True),
    (Date(), "2024-02-29", dt.date(2024, 2, 29)),
    (Date(), "0001-01-01", dt.date(1, 1, 1)),
    (Date(), "9999-12-31", dt.date(9999, 12, 31)),
    (Date(("DD/MM/YYYY",)), "03/02/2023", dt.date(2023, 2, 3)),
    (Date(("D.M.YYYY", "YYYY-MM-DD")), "3.12.2023", dt.date(2023, 12, 3)),
    (Date(("D.M.YYYY", "YYYY-MM-DD")), "2023-02-03", dt.date(2023, 2, 3)),
    (Date(("DD/MM/YYYY", "YYYYMMDD")), "20230203", dt.date(2023, 2, 3)),
    (Datetime(), "2024-02-29T23:59", dt.datetime(2024, 2, 29, 23, 59, tzinfo=UTC)),
    (Datetime(), "2024-02-29 23:59:58", dt.datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)),
    (Datetime(), "2024-02-29T23:59:58.5Z", dt.datetime(2024, 2, 29, 23, 59, 58, 500_000, UTC)),
    (Datetime(), "2024-02-29T23:59:58.123456-04:30", dt.datetime(2024, 3, 1, 4, 29, 58, 123_456, UTC)),
    (Datetime(), "2024-02-29T23:59:58+0100", dt.datetime(2024, 2, 29, 22, 59, 58, tzinfo=UTC)),
    (Datetime(zone="America/Caracas"), "2024-02-29T20:00:00", dt.datetime(2024, 3, 1, tzinfo=UTC)),
    (Datetime(zone="Europe/Berlin"), "2023-10-29 02:30:00", dt.datetime(2023, 10, 29, 0, 30, tzinfo=UTC)),
    (Datetime(zone="Europe/Berlin"), "2023-10-29 02:30:00+01:00", dt.datetime(2023, 10, 29, 1, 30, tzinfo=UTC)),
    (Datetime(("M/D/YYYY h:mm AM",)), "2/3/2023 4:05 PM", dt.datetime(2023, 2, 3, 16, 5, tzinfo=UTC)),
    (Datetime(("M/D/YYYY h:mm AM",)), "2/3/2023 12:05 am", dt.datetime(2023, 2, 3, 0, 5, tzinfo=UTC)),
    (Datetime(("DD/MM/YYYY",)), "03/02/2023", dt.datetime(2023, 2, 3, tzinfo=UTC)),
    (Email(), "a@b.cd", "a@b.cd"),
    (Email(), "First.O'Neil+tag@Mail-2.Example.COM", "First.O'Neil+tag@Mail-2.Example.COM"),
    (Email(), "x" * 64 + "@" + "y" * 63 + ".example", "x" * 64 + "@" + "y" * 63 + ".example"),
    (Email(), "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    (Phone(), "+584141234567", "+584141234567"),
    (Phone(), "+58 414-123.45 67", "+584141234567"),
    (Phone("VE"), "0414-1234567", "+584141234567"),
    (Phone("VE"), "(0414) 123 45 67", "+584141234567"),
    (Phone("VE"), "+44 20 7946 0018", "+442079460018"),
    (Phone("DE"), "0049 30 901820", "+4930901820"),
    (Phone("GB"), "+44 (0)20 7946 0018", "+442079460018"),
    (Phone("US"), "1 202 555 0123", "+12025550123"),
    (Phone("IT"), "06 698 12345", "+390669812345"),
    (Phone("AR"), "011 15 2345 6789", "+5491123456789"),
]

REFUSED: list[tuple[Type, str, str]] = [
    (Text(3), "abcd", "too_long"),
    *((Integer(), text, "not_an_integer") for text in [*NUMBERS_OF_ENGINES, "1.0", "1-", "12a"]),
    *((Decimal(5, 2), text, "not_a_decimal") for text in [*NUMBERS_OF_ENGINES, "1.", ".5", "-.5", "1.2.3", "1,5"]),
    (Integer(), "9223372036854775808", "out_of_range"),
    (Integer(), "-9223372036854775809", "out_of_range"),
    (Decimal(5, 2), "12.345", "too_many_places"),
    (Decimal(5, 2), "1.000", "too_many_places"),
    (Decimal(5, 2), "1000", "out_of_range"),
    (Decimal(2, 2), "1", "out_of_range"),
    (Decimal(5, 2, comma=True), "12.5", "not_a_decimal"),
    (Decimal(5, 2, comma=True), "1.234,5", "not_a_decimal"),
    (Boolean(), "maybe", "not_a_boolean"),
    (Boolean(), "2", "not_a_boolean"),
    (Boolean(), " true", "not_a_boolean"),
    *((Date(), text, "not_a_date") for text in DATES_OF_ENGINES),
    (Date(), "1900-02-29", "not_a_date"),
    (Date(), "2023-02-03T00:00:00", "not_a_date"),
    (Date(("DD/MM/YYYY",)), "2023-02-03", "not_a_date"),
    (Date(("DD/MM/YYYY", "MM/DD/YYYY")), "02/13/2023", "not_a_date"),
    *((Datetime(), text, "not_a_datetime") for text in [*DATES_OF_ENGINES, "2023-02-03"]),
    (Datetime(), "2024-02-29T24:00:00", "not_a_datetime"),
    (Datetime(), "2024-02-29T23:60:00", "not_a_datetime"),
    (Datetime(), "2016-12-31T23:59:60Z", "not_a_datetime"),
    (Datetime(), "2024-02-29T23:59:58.1234567Z", "not_a_datetime"),
    (Datetime(), "2024-02-29T23:59:58+24:00", "not_a_datetime"),
    (Datetime(), "0001-01-01T00:00:00+01:00", "not_a_datetime"),
    (Datetime(zone="Europe/Berlin"), "2023-03-26 02:30:00", "not_a_datetime"),
    (Datetime(("M/D/YYYY h:mm AM",)), "2/3/2023 13:05 PM", "not_a_datetime"),
    *(
        (Email(), text, "not_an_email")
        for text in [
            "a", "@b.cd", "a@", "a@b", "a@@b.cd", "a@b@c.de", "a b@c.de", " a@b.cd", "a@b.cd\n", ".a@b.cd", "a.@b.cd",
            "a..b@c.de", "a@-b.cd", "a@b-.cd", "a@b..cd", "a@b.cd.", "a@1.2.3.4", "a@[1.2.3.4]", '"a b"@c.de',
            "A <a@b.cd>", "é@b.cd", "a@é.cd", "x" * 65 + "@b.cd", "a@" + "y" * 64 + ".cd", "a@" + "b." * 126 + "cd",
            "mailto:a@b.cd", "a,b@c.de", "a@b.c_d",
        ]
    ),
    *(
        (Phone("VE"), text, "not_a_phone")
        for text in [
            "1", "123", "1234567", "041412345678901", "+999123456789", "+58", "phone", "0414-CALL-NOW",
            "+58414123456７", "0414 123 4567 ext 5", "04141234567/04161234567x", "+" * 300,
            "tel:+584141234567", "12+584141234567", "()",
        ]
    ),
    (Phone(), "0414-1234567", "not_a_phone"),
    (Phone(), "584141234567", "not_a_phone"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_taken(kind: Type, text: str, value: object) -> None:
    found, wrong = convert(converter(kind), pa.array([None, text, text, None], pa.string()))
    assert (found.to_pylist(), wrong) == ([None, value, value, None], [])
    assert found.type == converter(kind).arrow


@pytest.mark.parametrize(("kind", "text", "code"), REFUSED)
def test_refused(kind: Type, text: str, code: str) -> None:
    found, wrong = convert(converter(kind), pa.array([text, None], pa.string()))
    assert found.to_pylist() == [None, None]
    ((row, why),) = wrong
    assert (row, why.code) == (0, code)
    assert len(why.reason) < 400
    assert why.reason.endswith(".")


def test_reasons() -> None:
    samples: list[tuple[Type, str]] = [
        (Integer(), "12x"),
        (Decimal(5, 2), "12.345"),
        (Date(("DD/MM/YYYY",)), "30/02/2023"),
        (Boolean(), "maybe"),
        (Email(), " a@b.cd"),
        (Phone("VE"), "0414"),
    ]
    assert [converter(kind).parse(text).reason for kind, text in samples] == [
        "'12x' is no whole number: write digits, with a minus before them if it is negative.",
        "'12.345' has 3 decimal places, but the column has 2: round it.",
        "'30/02/2023', read as DD/MM/YYYY, is no day of the calendar.",
        "'maybe' is neither true nor false; write true, 1 or yes for true, false, 0 or no for false.",
        "' a@b.cd' is no e-mail address; it has blanks around it.",
        "'0414' is no phone number: it has too few digits; write it as + and the country calling code and the number,"
        " or as it is dialled in VE.",
    ]


KINDS: list[Type] = [
    Text(4),
    Integer(),
    Decimal(6, 2),
    Decimal(18, 0),
    Decimal(5, 3, comma=True),
    Boolean(),
    Date(),
    Date(("DD/MM/YYYY", "D/M/YYYY", "YYYYMMDD")),
    Datetime(),
    Datetime(zone="America/New_York"),
    Datetime(zone="Australia/Lord_Howe"),
    Datetime(("DD.MM.YYYY hh:mm", "YYYYMMDDThhmmss.fZZ"), "Europe/Lisbon"),
    Email(),
]
DIGITS = st.text("0123456789", max_size=21)
LIKE_NUMBERS = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["", "-", "+", "--"]),
    DIGITS,
    st.sampled_from(["", ".", ","]),
    DIGITS,
)
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)) | st.sampled_from(
    [
        dt.datetime(2023, 3, 12, 2, 30),
        dt.datetime(2023, 11, 5, 1, 30),
        dt.datetime(2023, 4, 2, 1, 45),
        dt.datetime(2, 1, 1),
    ]
)
LIKE_DATES = st.builds(
    lambda moment, pattern, offset: moment.strftime(pattern).replace("%y", f"{moment.year:04}") + offset,
    MOMENTS,
    st.sampled_from(
        [
            "%%y-%m-%d",
            "%d/%m/%%y",
            "%%y%m%d",
            "%%y-%m-%dT%H:%M:%S",
            "%%y-%m-%d %H:%M",
            "%%y-%m-%dT%H:%M:%S.%f",
            "%%y%m%dT%H%M%S.%f",
            "%d.%m.%%y %H:%M",
        ]
    ),
    st.sampled_from(["", "", "Z", "+02:00", "-1130", "+24:00", "+00:60"]),
)
LIKE_ADDRESSES = st.text("ab.@-1_'é ", max_size=12) | st.builds(
    "{}@{}.cd".format, st.text("ab.+-", max_size=70), st.text("ab.-1", max_size=70)
)
ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)


def spoiled(text: str, at: int, by: str) -> str:
    return text[: at % (len(text) + 1)] + by + text[at % (len(text) + 1) + 1 :]


LIKE_VALUES = LIKE_NUMBERS | LIKE_DATES | LIKE_ADDRESSES | ANYTHING | st.sampled_from(["true", "FALSE", "Yes", "0"])
VALUES = LIKE_VALUES | st.builds(spoiled, LIKE_VALUES, st.integers(0, 40), st.sampled_from([*"019-/:.TZ é", ""]))


@given(kind=st.sampled_from(KINDS), values=st.lists(st.none() | VALUES.filter(bool), max_size=12))
def test_columns_agree_with_single_values(kind: Type, values: list[str | None]) -> None:
    each = converter(kind)
    found, wrong = convert(each, pa.array(values, pa.string()))
    single = [None if value is None else each.parse(value) for value in values]
    assert wrong == [(row, value) for row, value in enumerate(single) if isinstance(value, Wrong)]
    assert found.to_pylist() == [None if isinstance(value, Wrong) else value for value in single]
    assert found.validate(full=True) is None


REGIONS = ["VE", "US", "GB", "DE", "IT", "AR", "BR", "MX", "CO", "RU", "FR", "JP", "CI", "SM", None]


@given(
    region=st.sampled_from(REGIONS),
    numbers=st.lists(
        st.builds(
            lambda *parts: "".join(parts),
            st.sampled_from(
                ["", "", "0", "00", "1", "+", "+58", "+1", "+44", "+440", "+549", "+39", "+7", "58", "8", "(0)"]
            ),
            st.text("0123456789", min_size=3, max_size=12)
            | st.from_regex(
                r"(?:2025550\d{3}|414\d{7}|7911\d{6}|11[2-9]\d{7}|30\d{6}|06\d{7}|9\d{10})", fullmatch=True
            ),
            st.text("0123456789 -.", max_size=2),
        ),
        max_size=12,
    ),
)
def test_columns_of_phones_agree_with_the_library(region: str | None, numbers: list[str]) -> None:
    each = converter(Phone(region))
    found, wrong = convert(each, pa.array(numbers, pa.string()))
    single = [each.parse(number) for number in numbers]
    assert found.to_pylist() == [None if isinstance(value, Wrong) else value for value in single]
    assert wrong == [(row, value) for row, value in enumerate(single) if isinstance(value, Wrong)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Decimal(39, 2),
        lambda: Decimal(2, 3),
        lambda: converter(Date(("DD/MM",))),
        lambda: converter(Date(("YYYY-MM-DD hh:mm",))),
        lambda: converter(Date(("yyyy-mm-dd",))),
        lambda: converter(Date(("YYYY-MM-DD-D",))),
        lambda: converter(Datetime(("YYYY-MM-DD mm",))),
        lambda: converter(Datetime(("YYYY-MM-DD AM",))),
        lambda: converter(Datetime(("YYYY-MM-DD ZZ hh",))),
        lambda: converter(Datetime(zone="Mars/Olympus")),
        lambda: converter(Datetime(zone="../etc")),
        lambda: converter(Phone("XX")),
    ],
)
def test_rules_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError):
        make()
