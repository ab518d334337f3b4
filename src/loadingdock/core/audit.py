"""Rows of the audit log. What came from outside is written so that it stays on its line and shows what it is."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.journal import AuditEntry

_LONGEST = 1024  # characters of a field; a row is a record of a deed, not a store for what was sent
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls (CR, LF, NUL), bidi marks, line separators


def escaped(text: str) -> str:
    """Control, bidirectional and line-separating characters as `\\uXXXX`, the backslash doubled, cut at 1,024."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text[:_LONGEST]
    return "".join(_escape(character) for character in text[:_LONGEST])[:_LONGEST]


def _escape(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def entry(
    principal: Principal, action: str, subject: str, outcome: str, at: datetime, detail: str | None = None
) -> AuditEntry:
    """One deed of a principal: who (kind and subject), what, about what, how it ended, from where."""
    return AuditEntry(
        at=at,
        company_id=principal.company.id,
        actor=escaped(f"{principal.kind}:{principal.subject}"),
        action=action,
        subject=escaped(subject),
        outcome=outcome,
        address=None if principal.address is None else escaped(principal.address),
        trace_id=principal.trace_id,
        detail=None if detail is None else escaped(detail),
    )


def claimed(
    company: Company, actor: str, action: str, outcome: str, at: datetime, *, address: str | None, trace_id: str | None
) -> AuditEntry:
    """A deed of somebody who only claims to be `actor`: a failed login."""
    return AuditEntry(
        at=at,
        company_id=company.id,
        actor=escaped(actor),
        action=action,
        subject=escaped(actor),
        outcome=outcome,
        address=None if address is None else escaped(address),
        trace_id=trace_id,
    )
