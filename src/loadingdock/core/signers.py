"""The id by which a signed link names who answers for it: company number, kind and subject.

It travels as the access key id of AWS Signature V4, so it is made of unreserved URL characters only
(RFC 3986 2.3), and has no slash, which would end it there.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from loadingdock.core.model.identity import Principal, PrincipalKind

_SIGNER = re.compile(r"([1-9][0-9]{0,17})\.(user|key|client|token|system)\.([A-Za-z0-9_-]{1,700})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signer:
    number: int
    kind: PrincipalKind
    subject: str


def signer_id(principal: Principal) -> str:
    """`<company number>.<kind>.<subject in base64url>`. Raises ValueError for a subject that is too long, and for
    the holder of a link, who signs nothing."""
    subject = base64.urlsafe_b64encode(principal.subject.encode()).rstrip(b"=").decode()
    signer = f"{principal.company.number}.{principal.kind}.{subject}"
    if not _SIGNER.fullmatch(signer):
        raise ValueError(f"A {principal.kind} of this name cannot sign links.")
    return signer


def read_signer(signer: str) -> Signer:
    """The reverse. Raises ValueError for anything that `signer_id` does not write."""
    match = _SIGNER.fullmatch(signer)
    if match is None:
        raise ValueError("This is no signer.")
    number, kind, encoded = match.groups()
    try:
        subject = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("This is no signer.") from error
    if base64.urlsafe_b64encode(subject.encode()).rstrip(b"=").decode() != encoded:
        raise ValueError("This is no signer.")  # one subject, one spelling
    return Signer(int(number), PrincipalKind(kind), subject)
