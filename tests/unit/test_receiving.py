"""What may come under a declaration, told from its first bytes and from all of them."""

from __future__ import annotations

import pytest

from loadingdock.core import types
from loadingdock.core.errors import TypeRefused
from loadingdock.core.receiving import Declaration, check_type

ZIP = "application/zip"


@pytest.mark.security(13)
@pytest.mark.parametrize("limits", [{"strict_type": True}, {"allowed_types": (types.DOCX,)}], ids=["strict", "allowed"])
def test_a_plain_archive_is_no_document(limits: dict[str, object]) -> None:
    declaration = Declaration(api="any", name="report.docx", max_size=1000, **limits)  # type: ignore[arg-type]
    check_type(declaration, ZIP)  # the first bytes cannot tell
    check_type(declaration, types.DOCX, opened=True)
    with pytest.raises(TypeRefused):
        check_type(declaration, ZIP, opened=True)
