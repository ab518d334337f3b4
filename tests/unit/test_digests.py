from __future__ import annotations

import base64
import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.blobs import Digest
from loadingdock.web.digests import claimed_digests

BODY = b'{"hello": "world"}\n'
SHA256 = hashlib.sha256(BODY).digest()
SHA512 = hashlib.sha512(BODY).digest()
MD5 = hashlib.md5(BODY).digest()


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def claimed(*fields: tuple[str, str], of_content: bool = True) -> set[Digest]:
    headers = Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in fields])
    digests = claimed_digests(headers, of_content=of_content)
    assert len({digest.algorithm for digest in digests}) == len(digests)
    return set(digests)


def test_the_rfcs_own_example() -> None:
    """RFC 9530, appendix B.1."""
    value = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert claimed(("Repr-Digest", value)) == {Digest("sha256", SHA256)}


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        (f"sha-512=:{b64(SHA512)}:", {Digest("sha512", SHA512)}),
        (f"md5=:{b64(MD5)}:", {Digest("md5", MD5)}),
        (f"sha-256=:{b64(SHA256)}:, sha-512=:{b64(SHA512)}:", {Digest("sha256", SHA256), Digest("sha512", SHA512)}),
        (f"sha-256=:{b64(SHA256)}:\t,\t md5=:{b64(MD5)}:", {Digest("sha256", SHA256), Digest("md5", MD5)}),
        (f'sha-256=:{b64(SHA256)}:;a;b="x, y";c=?1', {Digest("sha256", SHA256)}),
        (f"sha-256=:{b64(bytes(32))}:, sha-256=:{b64(SHA256)}:", {Digest("sha256", SHA256)}),
        ("unixsum=:AAA=:, crc32c=:AAAA:", set()),
        ('x="a, b", y=1.5, z=?0, token=a/b:c, flag, d=@1659578233', set()),
        ("", set()),
    ],
)
def test_dictionaries(field: str, value: str, found: set[Digest]) -> None:
    assert claimed((field, value)) == found


def test_a_field_in_several_lines() -> None:
    assert claimed(("Repr-Digest", f"sha-256=:{b64(SHA256)}:"), ("Repr-Digest", f"md5=:{b64(MD5)}:")) == {
        Digest("sha256", SHA256),
        Digest("md5", MD5),
    }


@pytest.mark.parametrize(
    "value",
    [
        "sha-256",
        "sha-256=",
        f"sha-256={b64(SHA256)}",
        f'sha-256="{b64(SHA256)}"',
        f"sha-256=:{b64(SHA256)}",
        f"sha-256=:{b64(SHA256)[:-1]}:",
        f"sha-256=:{b64(SHA256[:-1])}:",
        f"sha-256=:{b64(SHA512)}:",
        "sha-256=:::",
        "sha-256=::",
        f"SHA-256=:{b64(SHA256)}:",
        f"sha-256=:{b64(SHA256)}:,",
        f"sha-256=:{b64(SHA256)}: md5=:{b64(MD5)}:",
        f",sha-256=:{b64(SHA256)}:",
        f"sha-256=:{SHA256.hex()}:",
        "sha-256=?1",
        "Ä",
        'x="unclosed',
    ],
)
def test_what_cannot_be_read(value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        claimed(("Repr-Digest", value))
    assert raised.value.field == "Repr-Digest"


@pytest.mark.parametrize("field", ["Content-MD5", "x-amz-checksum-sha256"])
def test_single_digests(field: str) -> None:
    algorithm, value = ("md5", MD5) if field == "Content-MD5" else ("sha256", SHA256)
    assert claimed((field, b64(value))) == {Digest(algorithm, value)}
    for wrong in ("", "nonsense", b64(value[:-1]), b64(value) + "\xff", b64(value).rstrip("="), value.hex()):
        with pytest.raises(InvalidInput) as raised:
            claimed((field, wrong))
        assert raised.value.field == field


def test_agreeing_fields_are_one_and_contradicting_ones_are_refused() -> None:
    fields = [("Repr-Digest", f"sha-256=:{b64(SHA256)}:"), ("x-amz-checksum-sha256", b64(SHA256))]
    assert claimed(*fields) == {Digest("sha256", SHA256)}
    with pytest.raises(InvalidInput):
        claimed(fields[0], ("x-amz-checksum-sha256", b64(bytes(32))))


def test_the_digest_of_a_forms_content_is_not_the_files() -> None:
    fields = [("Content-Digest", f"sha-256=:{b64(SHA256)}:"), ("Content-MD5", b64(MD5))]
    assert claimed(*fields, of_content=False) == set()
    assert claimed(("Repr-Digest", f"md5=:{b64(MD5)}:"), *fields, of_content=False) == {Digest("md5", MD5)}


@given(st.text(st.characters(max_codepoint=255)))
def test_no_text_does_more_than_be_refused(value: str) -> None:
    for field in ("Repr-Digest", "Content-MD5"):
        try:
            claimed((field, value))
        except InvalidInput:
            continue


@pytest.mark.parametrize("value", ["a=1, " * 12_000, "a;" * 30_000, 'a="' + "\\" * 60_000, "a" * 60_000, ", " * 30_000])
def test_hostile_values_cost_linear_time(value: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidInput):
        claimed(("Repr-Digest", value + "!"))
    assert time.process_time() - started < 1
