"""Logs: one JSON object a line on standard error, or text for a terminal. What is secret is masked in both.

Masking is the last step before rendering, over everything: our own fields, messages of libraries, tracebacks. A
secret that slipped into a log line upstream is therefore still no secret in the log.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

_MASK = "***"
_SECRET_NAMES = re.compile(
    r"authorization|api[-_]?key|password|passwd|secret|token|signature|cookie|credential|private", re.IGNORECASE
)
# Names that the pattern above hits and that are no secrets.
_PLAIN_NAMES = frozenset({"api_key_id", "key_id", "token_ttl", "credentials"})
# Each mask keeps its first group: enough to see what was there, nothing of it.
_SECRETS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        # Query parameters of presigned URLs (AWS Signature V4), of callbacks and of tokens.
        (
            r"([?&;\s\"'](?:X-Amz-Signature|X-Amz-Security-Token|signature|sig|access_token|refresh_token|id_token"
            r"|token|client_secret|secret|password|api[-_]?key|key)=)[^&\s\"'<>]+",
            re.IGNORECASE,
        ),
        (r"^((?:X-Amz-Signature|X-Amz-Security-Token)=)[^&\s\"'<>]+", re.IGNORECASE),
        # Header lines, as text, as a dict's repr or as JSON.
        (
            r"(\b(?:(?:proxy-)?authorization|api-key|x-api-key|x-cap-api-oauth-token|(?:set-)?cookie)[\"']?\s*[:=,]\s*"
            r"b?[\"']?)[^\"'\r\n]+",
            re.IGNORECASE,
        ),
        # Named values in the repr of an object, or in JSON.
        (r"((?:password|passwd|secret|private_pem)\w*[\"']?\s*[:=]\s*b?[\"'])[^\"']+", re.IGNORECASE),
        (r"(\b(?:Basic|Bearer)\s+)[A-Za-z0-9+/=._~-]{4,}", re.IGNORECASE),
        # Our own API keys; secrets of callbacks; JSON web tokens; user and password in a URL; PEM.
        (r"(\bldk_)[A-Za-z0-9_-]+", 0),
        (r"(\bwhsec_)[A-Za-z0-9+/=]+", 0),
        (r"(\beyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", 0),
        (r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']*:[^\s/@\"']*(?=@)", re.IGNORECASE),
        (r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)", re.DOTALL),
    )
)
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def mask(text: str) -> str:
    """The text without its secrets: signatures, keys, tokens, passwords, `Authorization` values."""
    for secret in _SECRETS:
        text = secret.sub(rf"\1{_MASK}", text)
    return text


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["json", "text"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Sends everything, the libraries' logs too, to `stream` (standard error). May be called again."""
    least = getattr(logging, level.upper())
    shared: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=list(_rendering(format)))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(least)
    # Libraries that tell every request or every step of theirs: only what is wrong is of interest here.
    for chatty in ("httpx", "httpcore", "asyncio", "uvicorn.access", "uvicorn.error", "multipart"):
        logging.getLogger(chatty).setLevel(max(least, logging.WARNING))
    # Each attempt of each connection, as long as a database is away, and each statement that fails because of another
    # one; its adapter says once what is wrong.
    logging.getLogger("psycopg").setLevel(logging.ERROR)


def _rendering(format: str) -> tuple[Processor, ...]:
    head: tuple[Processor, ...] = (
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # never a frame's local variables: they hold what clients sent
        _mask_event,
    )
    if format == "json":
        return (*head, structlog.processors.JSONRenderer(default=str, ensure_ascii=False))
    return (*head, _on_its_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))


def _mask_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = _masked(name, value)
    return event


def _masked(name: str, value: object) -> object:
    if _SECRET_NAMES.search(name) and name not in _PLAIN_NAMES and not isinstance(value, bool | int | float | None):
        return _MASK
    match value:
        case str():
            return mask(value)
        case bytes():
            return mask(value.decode("latin-1"))
        case Mapping():
            return {key: _masked(str(key), inner) for key, inner in value.items()}
        case (str() | bytes() as header, str() | bytes() as inner):  # ASGI's headers are pairs
            return [header, _masked(header.decode("latin-1") if isinstance(header, bytes) else header, inner)]
        case list() | tuple() | set() | frozenset():
            return [_masked("", inner) for inner in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return mask(str(value))


def _on_its_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """In text nothing that a client sent begins a line of its own or moves the terminal's cursor."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return event
