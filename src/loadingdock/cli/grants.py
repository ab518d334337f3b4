"""The option by which permissions are given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

Grants = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        metavar="PERMISSION",
        help="files:upload, files:read, files:write, contacts:load, contacts:read, transactions:post, admin;"
        " files:read/NAMESPACE; repeatable.",
    ),
]


def said(permissions: Iterable[str]) -> str:
    """What somebody may do, as the end of a sentence."""
    words = " ".join(sorted(permissions))
    return f"may: {words}" if words else "may do nothing yet, because no --grant was given"
