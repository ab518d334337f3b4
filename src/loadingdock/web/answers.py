"""Answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def answer_json(
    body: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> Response:
    """The object without blanks, in UTF-8; what no UTF-8 can say, a lone surrogate of a file's name, is a question
    mark. What JSON has no form of (times, ids) is written as `str` has it."""
    return Response(_encode(body).encode("utf-8", "replace"), status, headers, media_type=media_type)
