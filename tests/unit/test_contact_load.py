"""The fields of a contact-load form, and the two answers of its wire."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core.errors import InvalidInput
from loadingdock.core.loading import Operation
from loadingdock.core.model.imports import Asked
from loadingdock.dialects.contact_load import wire
from loadingdock.dialects.contact_load.fields import CALLBACK, WIRE_NAMES, Wanted, wanted
from loadingdock.web.multipart import Form
from tests.wire.test_dialects import asked

NAMED = ("fieldsCode", "A")


def form(*fields: tuple[str, str]) -> Form:
    return Form(list(fields))


def read(*fields: tuple[str, str]) -> Asked:
    return wanted(form(NAMED, *fields)).asked


def refused(*fields: tuple[str, str]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        wanted(form(*fields))
    return caught.value


def test_the_defaults_are_the_contracts() -> None:
    assert wanted(form(NAMED)) == Wanted(Asked(columns=("A",)), "")
    plain = read()
    assert (plain.separator, plain.quote, plain.header, plain.operation) == (",", "", False, Operation.INSALL)
    assert (plain.encoding, plain.key, plain.strict, plain.dry_run) == ("UTF-8", None, True, False)


def test_the_samples_of_the_source_are_read() -> None:
    sample = form(
        ("delimiter", '"'),
        ("encodingType", "UTF-8"),
        ("includeHeaders", "false"),
        ("operationType", "INSALL"),
        ("separator", ","),
        ("strict", "true"),
        ("fieldsCode", '"TEST_NAME;TEST_LASTNAME;TEST_PHONE;TEST_EMAIL"'),
    )
    names = ("TEST_NAME", "TEST_LASTNAME", "TEST_PHONE", "TEST_EMAIL")
    assert wanted(sample).asked == Asked(quote='"', columns=names)


@pytest.mark.parametrize("field", [",", ";", "|", "\t", " ", "§", "¦", "a", "\x1f", "😀"])
def test_a_separator_is_one_character(field: str) -> None:
    assert read(("separator", field)).separator == field


@pytest.mark.parametrize("spelled", ["\\t", "TAB", "tab", "\t"])
def test_a_tab_has_words(spelled: str) -> None:
    assert read(("separator", spelled)).separator == "\t"


@pytest.mark.parametrize("value", ["", ",,", "comma", "\\n", "\n", "\r", "\0", "a\u0308", '","'])
def test_other_separators_are_refused(value: str) -> None:
    error = refused(NAMED, ("separator", value))
    assert error.field == "separator"
    assert str(error).startswith("separator: one character that ends no line, \\t or TAB")
    assert str(error).endswith(f", not {value!r}.")
    assert ("curl" in str(error)) == (value == "")


@pytest.mark.parametrize(("value", "quote"), [('"', '"'), ("'", "'"), ("", ""), ("¨", "¨")])
def test_the_delimiter_is_a_quote_or_none(value: str, quote: str) -> None:
    assert read(("delimiter", value)).quote == quote


@pytest.mark.parametrize("value", ['""', "\n", "\0", "none", "\\t"])
def test_other_delimiters_are_refused(value: str) -> None:
    error = refused(NAMED, ("delimiter", value))
    assert (error.field, repr(value) in str(error)) == ("delimiter", True)


def test_separator_and_delimiter_differ() -> None:
    assert refused(NAMED, ("delimiter", ",")).field == "delimiter"
    assert refused(NAMED, ("delimiter", "\t"), ("separator", "TAB")).field == "delimiter"
    assert read(("delimiter", ","), ("separator", ";")).quote == ","
    # Behind the file another separator may come, unless one has.
    assert wanted(form(("delimiter", ",")), complete=False).asked.quote == ","
    with pytest.raises(InvalidInput):
        wanted(form(("delimiter", ";"), ("separator", ";")), complete=False)


@pytest.mark.parametrize("field", ["includeHeaders", "strict", "dryRun"])
@pytest.mark.parametrize(
    ("spelled", "value"), [("true", True), ("false", False), ("TRUE", True), ("False", False), ("True", True)]
)
def test_true_and_false_are_spelled_in_any_case(field: str, spelled: str, value: bool) -> None:
    found = read((field, spelled))
    assert {"includeHeaders": found.header, "strict": found.strict, "dryRun": found.dry_run}[field] is value


@pytest.mark.parametrize("field", ["includeHeaders", "strict", "dryRun"])
@pytest.mark.parametrize("value", ["", "1", "0", "yes", "on", "tru", " true", "true\n", "null", "ｔrue"])
def test_nothing_else_is_true_or_false(field: str, value: str) -> None:
    error = refused(NAMED, (field, value))
    assert (error.field, str(error)) == (field, f"{field}: true or false, not {value!r}.")


@pytest.mark.parametrize("operation", Operation)
def test_operations_in_any_case(operation: Operation) -> None:
    for spelled in (operation.value, operation.value.lower(), operation.value.title()):
        assert read(("operationType", spelled)).operation is operation
    assert read(("operationType", "UPDALL")).operation is Operation.UPALL


@pytest.mark.parametrize("value", ["", "UPSERT", "INSALL ", "INſALL", "INS", "DELETE"])
def test_other_operations_are_refused(value: str) -> None:
    error = refused(NAMED, ("operationType", value))
    assert error.field == "operationType"
    assert str(error) == f"operationType: one of INSALL, UPDINS, UPALL, INSNEW, not {value!r}."


@pytest.mark.parametrize(
    "value", ["A;B C;ñ", '"A;B C;ñ"', ' A ; B C;"ñ"', '"A";"B C";"ñ"', '" A;B C ; ñ "', "A;B C;ñ\n"]
)
@pytest.mark.parametrize("field", ["fieldsCode", "fields", "keyField"])
def test_names_are_divided_by_semicolons(field: str, value: str) -> None:
    found = wanted(form((field, value), *([NAMED] if field == "keyField" else []))).asked
    assert (found.key if field == "keyField" else found.columns) == ("A", "B C", "ñ")


def test_blanks_in_a_names_own_quotes_are_its_own() -> None:
    assert wanted(form(("fieldsCode", '" A ";  B ;"C"'))).asked.columns == (" A ", "B", "C")
    assert wanted(form(("fieldsCode", '" A "'))).asked.columns == ("A",)  # quotes around all of them


@pytest.mark.parametrize("value", ["A;", ";A", "A;;B", ";", '""', '"A;"', " ", '"A";""'])
@pytest.mark.parametrize("field", ["fieldsCode", "keyField"])
def test_a_name_is_not_empty(field: str, value: str) -> None:
    error = refused((field, value), *([NAMED] if field == "keyField" else []))
    assert (error.field, repr(value) in str(error)) == (field, True)


def test_names_are_needed_where_the_file_has_none() -> None:
    assert refused().field == "fieldsCode"
    assert refused(("includeHeaders", "false")).field == "fieldsCode"
    assert refused(("fieldsCode", "")).field == "fieldsCode"
    assert wanted(form(("includeHeaders", "true"))).asked.columns is None
    assert wanted(form(), complete=False).asked.columns is None
    assert read(("includeHeaders", "true")).columns == ("A",)


def test_no_key_is_the_tables_own() -> None:
    assert read(("keyField", "")).key is None


@pytest.mark.parametrize("name", CALLBACK)
def test_the_callback_has_many_names(name: str) -> None:
    assert wanted(form(NAMED, (name, "https://example.com/done"))).callback_url == "https://example.com/done"


@pytest.mark.parametrize(
    ("one", "other"), [("fieldsCode", "fields"), ("callback", "notifyUrl"), ("callbackURL", "callbackUrl")]
)
def test_names_of_one_field_agree(one: str, other: str) -> None:
    rest = () if one == "fieldsCode" else (NAMED,)
    assert wanted(form((one, "a"), (other, "a"), *rest)) == wanted(form((one, "a"), *rest))
    error = refused((one, "a"), (other, "b"), *rest)
    assert error.field in {"fieldsCode", "callback"}
    assert one in str(error)
    assert other in str(error)


@pytest.mark.parametrize("name", [*sorted({*WIRE_NAMES.values()} - {"file"}), "separator", "strict", *CALLBACK])
def test_no_field_comes_twice(name: str) -> None:
    rest = () if name == "fieldsCode" else (NAMED,)
    error = refused((name, "a"), (name, "a"), *rest)
    assert (error.field, "came 2 times" in str(error)) == (name, True)


def test_unknown_fields_are_passed_over() -> None:
    assert read(("status", "approved"), ("tableCode", "other"), ("idCompany", "other"), ("Strict", "no")) == read()


_VALUES = st.one_of(
    st.sampled_from(["", ",", ";", '"', "true", "false", "TAB", "\\t", "INSALL", "updins", "A;B", '"A;B"', "UTF-8"]),
    st.text(max_size=5),
)
_FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("separator", "delimiter", "includeHeaders", "operationType", "encodingType", "keyField"),
                *("fieldsCode", "fields", "strict", "dryRun", "note", *CALLBACK),
            ]
        ),
        _VALUES,
    ),
    max_size=8,
)


@given(_FIELDS, st.data())
def test_what_is_wrong_early_is_wrong_in_the_end(fields: list[tuple[str, str]], data: st.DataObject) -> None:
    """So a form may be refused before its file, by what has come of it; and the order of fields never matters."""
    before = fields[: data.draw(st.integers(0, len(fields)))]
    others = data.draw(st.permutations(fields))
    try:
        found = wanted(form(*fields))
    except InvalidInput:
        assert refused(*others).field
        return
    wanted(form(*before), complete=False)
    assert wanted(form(*others)) == found
    assert len(found.asked.separator) == 1
    assert len(found.asked.quote) <= 1
    assert found.asked.separator != found.asked.quote
    assert found.asked.columns or found.asked.header


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters='";'), min_size=1), min_size=1), st.booleans())
def test_any_names_come_through(names: list[str], wrapped: bool) -> None:
    names = [name.strip() for name in names]
    text = ";".join(names)
    found = form(("fieldsCode", f'"{text}"' if wrapped else text))
    if all(names):
        assert wanted(found).asked.columns == tuple(names)
    else:
        with pytest.raises(InvalidInput):
            wanted(found)


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "shown"), [*WIRE_NAMES.items(), ("separator", "separator"), ("callback", "callback"), (None, None)]
)
def test_errors_name_fields_as_the_wire_does(field: str | None, shown: str | None) -> None:
    response = wire.render(InvalidInput("No.", field=field), asked(f"{wire.PREFIX}/customers"))
    assert json.loads(bytes(response.body)) == {
        "status": False,
        "tableCode": "customers",
        "error": {"code": "invalid_input", "message": "No.", "field": shown},
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [("/Kunden", "Kunden"), ("", None), ("/", None), ("/a/b", None), ("/\ud800", "?"), ("/\n", "\n")],
)
def test_errors_name_the_table_of_the_path(path: str, code: str | None) -> None:
    request = asked(wire.PREFIX)
    request.scope["path"] = wire.PREFIX + path
    assert json.loads(bytes(wire.render(InvalidInput("No."), request).body))["tableCode"] == code


def test_files_are_kept_for_a_month() -> None:
    assert timedelta(seconds=wire.RETENTION.default or 0) == timedelta(days=30)
