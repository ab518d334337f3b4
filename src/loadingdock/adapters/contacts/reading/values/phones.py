"""Phone numbers by libphonenumber's rules: `parse` asks the library, at a tenth of a millisecond a number, and `fast`
knows the ones it would leave as they are but for blanks, the trunk prefix and the country's code.

A number is taken if its calling code exists and numbers there may have as many digits. If it is assigned to somebody is
not asked: numbering plans change faster than libraries.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult
from phonenumbers.phonemetadata import PhoneMetadata

from loadingdock.adapters.contacts.reading.rules import Phone
from loadingdock.adapters.contacts.reading.values.converting import Flat, Rows, Wrong, flat, shown, unflat

_FORM = re.compile(r"\(?\+?[0-9 ()./-]+")
_BETWEEN = np.isin(np.arange(256), list(b" ().-"))
_PLUS = ord("+")
_LONGEST = 40  # characters; with more of them it is no number, or a strange one
_REASONS = {
    ValidationResult.TOO_SHORT: "it has too few digits",
    ValidationResult.TOO_LONG: "it has too many digits",
    ValidationResult.INVALID_LENGTH: "no number there has as many digits",
    ValidationResult.INVALID_COUNTRY_CODE: "its country calling code does not exist",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "it lacks the area code",
}


class Phones:
    arrow = pa.string()

    def __init__(self, rule: Phone) -> None:
        if rule.region is not None and rule.region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"{rule.region!r} is no region with phone numbers; regions are such as DE, US or VE")
        self._region = rule.region
        self._hint = "write it as + and the country calling code and the number"
        if rule.region is not None:
            self._hint += f", or as it is dialled in {rule.region}"
        self._parse = lru_cache(16_384)(self._ask)

    def parse(self, text: str) -> str | Wrong:
        return self._parse(text) if len(text) <= _LONGEST else self._wrong(text, "it is too long")

    def _ask(self, text: str) -> str | Wrong:
        if _FORM.fullmatch(text) is None:
            return self._wrong(text, "it has other characters than digits, blanks, ( ) . - / and a + before them")
        try:
            number = phonenumbers.parse(text, self._region)
        except NumberParseException as error:
            if error.error_type == NumberParseException.INVALID_COUNTRY_CODE and "+" not in text and not self._region:
                return self._wrong(text, "it has no country calling code")
            return self._wrong(text, str(error).rpartition(") ")[2].rstrip(".").lower())
        verdict = phonenumbers.is_possible_number_with_reason(number)
        if verdict != ValidationResult.IS_POSSIBLE:
            return self._wrong(text, _REASONS[verdict])
        return phonenumbers.format_number(number, PhoneNumberFormat.E164)

    def _wrong(self, text: str, why: str) -> Wrong:
        return Wrong("not_a_phone", f"{shown(text)} is no phone number: {why}; {self._hint}.")

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        column = flat(texts)
        digits = column.data - np.uint8(ord("0")) <= 9
        others = np.flatnonzero(~digits)
        first = np.zeros(column.data.size + 1, np.bool_)
        first[column.offsets[:-1]] = True
        plus = first[others] & (column.data[others] == _PLUS)
        between = _BETWEEN[column.data[others]]
        unusual = column.sizes > _LONGEST
        unusual[column.rows_of(others[~(plus | between)])] = True
        with_plus = np.zeros(len(texts), np.bool_)
        with_plus[column.rows_of(others[plus])] = True
        compact = _compacted(texts, column, others[between])
        found = np.zeros(len(texts), np.bool_)
        values = self._international(compact, np.flatnonzero(with_plus & ~unusual), found)
        if self._region is not None:
            national = np.flatnonzero(~with_plus & ~unusual & (column.sizes > 0))
            values = _Plan.of_region(self._region).complete(values, national, found)
        return values, np.flatnonzero(~found & (column.sizes > 0))

    def _international(self, texts: pa.StringArray, rows: Rows, found: NDArray[np.bool_]) -> pa.StringArray:
        """Sets `found` where the number is E.164 as it stands."""
        if not rows.size:
            return texts
        column = flat(texts)
        rows = rows[column.sizes[rows] > 4]
        if not rows.size:
            return texts
        head = column.data[column.offsets[rows][:, None] + np.arange(1, 4, dtype=np.int32)].astype(np.int64) - ord("0")
        codes = _calling_codes()[head @ np.array([100, 10, 1])]
        for code in np.unique(codes[codes > 0]).tolist():
            of_code = rows[codes == code]
            kept = _Plan.of_code(code).keeps(texts.take(pa.array(of_code)))
            found[of_code[kept]] = True
        return texts


def _compacted(texts: pa.StringArray, column: Flat, left_out: NDArray[np.int64]) -> pa.StringArray:
    if not left_out.size:
        return texts
    kept = np.ones(column.data.size, np.bool_)
    kept[left_out] = False
    before = np.zeros(column.data.size + 1, np.int32)
    np.cumsum(kept, out=before[1:])
    return unflat(texts, before[column.offsets], column.data[kept])


@cache
def _calling_codes() -> NDArray[np.int64]:
    """The country calling code by the first three digits; 0 where there is none."""
    table = np.zeros(1000, np.int64)
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        width = 10 ** (3 - len(str(code)))
        table[code * width : (code + 1) * width] = code
    return table


class _Plan:
    """What of a region's numbering plan decides if the library leaves a number alone."""

    def __init__(self, metadata: PhoneMetadata | None) -> None:
        assert metadata is not None  # the library has it for every region and code that it names
        assert metadata.general_desc is not None
        self._code = str(metadata.country_code)
        self._number = f"(?:{metadata.general_desc.national_number_pattern})"
        # The pattern may know lengths that are no longer possible.
        self._lengths = np.isin(np.arange(_LONGEST + 1), metadata.general_desc.possible_length)
        self._abroad = f"^(?:{metadata.international_prefix})" if metadata.international_prefix else None
        # What may be stripped before a number, trunk prefix and carrier's code; it may also match nothing at all.
        self._prefix = metadata.national_prefix_for_parsing or ""
        self._prefix_may_be_empty = re.match(self._prefix, "") is not None
        self._trunk = self._plain_trunk(metadata)

    @staticmethod
    @cache
    def of_code(code: int) -> _Plan:
        region = phonenumbers.region_code_for_country_code(code)
        if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
            return _Plan(PhoneMetadata.metadata_for_nongeo_region(code))
        return _Plan(PhoneMetadata.metadata_for_region(region))

    @staticmethod
    @cache
    def of_region(region: str) -> _Plan:
        return _Plan(PhoneMetadata.metadata_for_region(region))

    def _plain_trunk(self, metadata: PhoneMetadata) -> str | None:
        """The trunk prefix, if it is all that can be stripped from a number that begins with it."""
        trunk, forms = metadata.national_prefix, self._prefix.split("|")
        if not trunk or metadata.national_prefix_transform_rule or not all(form.isdigit() for form in forms):
            return None
        return trunk if [form for form in forms if form[0] == trunk[0]] == [trunk] else None

    def keeps(self, texts: pa.StringArray) -> NDArray[np.bool_]:
        """Of numbers that begin with + and this plan's code."""
        before = rf"\+{self._code}"
        return self._viable(texts, before, len(self._code) + 1) & ~self._stripped(texts, before)

    def _viable(self, texts: pa.StringArray, before: str, size: int) -> NDArray[np.bool_]:
        """If there is a number of this plan behind the `size` characters that `before` stands for."""
        return _matching(texts, f"^{before}{self._number}$") & self._lengths[np.maximum(flat(texts).sizes - size, 0)]

    def _stripped(self, texts: pa.StringArray, before: str) -> NDArray[np.bool_]:
        if not self._prefix:
            return np.zeros(len(texts), np.bool_)
        prefix = f"^{before}(?:{self._prefix})"
        if not self._prefix_may_be_empty:
            return _matching(texts, prefix)
        left = pc.binary_length(pc.replace_substring_regex(texts, prefix, ""))
        unstripped = pc.binary_length(pc.replace_substring_regex(texts, f"^{before}", ""))
        differs: NDArray[np.bool_] = pc.not_equal(left, unstripped).to_numpy(False)
        return differs

    def complete(self, texts: pa.StringArray, rows: Rows, found: NDArray[np.bool_]) -> pa.StringArray:
        """Numbers as they are dialled in the region, with + and its code where `found` is set."""
        if not rows.size:
            return texts
        numbers = texts.take(pa.array(rows))
        abroad = _matching(numbers, self._abroad) if self._abroad else np.zeros(rows.size, np.bool_)
        viable = self._viable(numbers, "", 0)
        as_is = viable & ~abroad & ~self._stripped(numbers, "")
        cut = np.zeros(rows.size, np.bool_)
        if self._trunk is not None:
            cut = self._viable(numbers, self._trunk, len(self._trunk)) & ~abroad & ~as_is
            # What begins like the calling code may be meant to have it.
            if self._trunk == self._code:
                cut &= ~viable
            else:
                cut &= ~pc.starts_with(numbers, self._code).to_numpy(False)
        if not (sure := as_is | cut).any():
            return texts
        national = numbers
        if cut.any():
            national = pc.if_else(pa.array(cut), pc.utf8_slice_codeunits(numbers, len(self._trunk or "")), numbers)
        completed = pc.binary_join_element_wise(f"+{self._code}", national.filter(pa.array(sure)), "")
        found[rows[sure]] = True
        mask = np.zeros(len(texts), np.bool_)
        mask[rows[sure]] = True
        return pc.replace_with_mask(texts, pa.array(mask), completed)


def _matching(texts: pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(texts, pattern).to_numpy(False)
    return found
