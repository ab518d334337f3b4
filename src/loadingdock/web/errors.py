"""Errors that only HTTP knows, as siblings of the core's, so that every wire renders them by the same table."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from loadingdock.core.errors import DockError, InvalidInput, NotFound, TypeRefused


class MethodNotAllowed(DockError):
    code = "method_not_allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This method is not for this path; allowed: {allow or 'none'}.", allow=allow)
        self.allow = allow


class UnsupportedMediaType(TypeRefused):
    """The request's own Content-Type or Content-Encoding is not one that the path reads."""

    code = "unsupported_media_type"


class InternalError(DockError):
    """Something here is broken. The log has the rest, under the request's trace id."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The service failed on this request; nothing was kept of it. It is in our log.")


def of_framework(error: Exception) -> DockError:
    """The framework's own refusals as ours."""
    if isinstance(error, DockError):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return InvalidInput(f"{where}: {first['msg']}.", field=where)
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFound("path")
        if error.status_code == 405:
            return MethodNotAllowed((error.headers or {}).get("Allow", ""))
        if error.status_code < 500:
            return InvalidInput(str(error.detail))
    return InternalError()
