"""What an operator may set for a company, and how the text is read: `loadingdock company set CODE KEY=VALUE`.

Values are kept as JSON, so a parser returns what JSON can hold: sizes as bytes, durations as seconds, None for
"no limit" or "never". A parser that cannot read its text raises ValueError with a sentence that says what would be
right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from loadingdock.core.model.companies import Company, CompanySetting

_SIZE = re.compile(r"(\d{1,18})\s*(|B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII)
_SIZE_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_LARGEST = 2**63 - 1  # what the databases can count
_DURATION = re.compile(r"(\d{1,9})\s*(s|m|h|d|w)", re.ASCII)
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 100 * 366 * 86_400  # a century; datetimes can take it
_LONGEST_URL = 7 * 86_400  # more is no valid Signature V4 URL
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?", re.ASCII)
_RATE = re.compile(r"(\d{1,9})\s*(?:/|\s+per\s+)\s*(?:(\d{1,5})\s*)?(second|minute|hour|day)s?", re.ASCII)


def size(text: str) -> int:
    """Bytes: `10MiB`, `5 GB`, `1024`. Decimal units count in thousands, binary ones (KiB) in 1024s."""
    match = _SIZE.fullmatch(text.strip())
    value = int(match[1]) * _SIZE_UNITS[match[2]] if match else _LARGEST + 1
    if value > _LARGEST:
        raise ValueError(f"{text!r} is no size; write bytes with a unit, such as 10MiB, 5GB or 1024.")
    return value


def duration(text: str) -> int:
    """Seconds: `90s`, `15m`, `24h`, `7d`, `2w`."""
    match = _DURATION.fullmatch(text.strip())
    value = int(match[1]) * _DURATION_UNITS[match[2]] if match else 0
    if not 0 < value <= _LONGEST:
        raise ValueError(f"{text!r} is no duration; write a number and s, m, h, d or w, such as 24h or 7d.")
    return value


def rate(text: str) -> str:
    """A limit on requests in one normal form, `600/minute` or `100/10 seconds`."""
    match = _RATE.fullmatch(text.strip().lower())
    count, multiple, unit = (int(match[1]), int(match[2] or 1), match[3]) if match else (0, 0, "")
    if not count or not multiple:
        raise ValueError(f"{text!r} is no rate; write a count and a time, such as 600/minute or 100/10 seconds.")
    return f"{count}/{unit}" if multiple == 1 else f"{count}/{multiple} {unit}s"


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII) or int(text) == 0:
        raise ValueError(f"{text!r} is no count; write a whole number from 1 on.")
    return int(text)


def switch(text: str) -> bool:
    """`on` or `off`, and the usual words for them."""
    word = text.strip().lower()
    if word in {"on", "true", "yes", "1"}:
        return True
    if word in {"off", "false", "no", "0"}:
        return False
    raise ValueError(f"{text!r} is neither on nor off.")


def choice(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError(f"{text!r} is not among {', '.join(words)}.")
        return word

    return parse


def origins(text: str) -> list[str]:
    """Web origins (RFC 6454), as browsers write them: scheme, host and any port that is not the scheme's own. None of
    them for the word `default`."""
    words = [] if text.strip().lower() == "default" else text.replace(",", " ").lower().split()
    for word in words:
        if not _ORIGIN.fullmatch(word) or re.fullmatch(r"http:.*:80|https:.*:443", word):
            raise ValueError(
                f"{word!r} is no origin; write https://app.example.com, without a path, several with commas."
            )
    return list(dict.fromkeys(words))


def repository(text: str) -> str:
    """The name of a place for files, as addresses of the form `s3://NAME/...` have it."""
    if not _REPOSITORY.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is no repository name: up to 63 letters, digits, _ and -.")
    return text.strip()


def optional(parse: Callable[[str], int] | Callable[[str], str], nothing: str) -> Callable[[str], int | str | None]:
    """`nothing` is the word that takes the limit away."""

    def parse_optional(text: str) -> int | str | None:
        if text.strip().lower() == nothing:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{error} The word {nothing!r} takes the limit away.") from None

    return parse_optional


def spelled_size(value: int) -> str:
    """In the largest unit that leaves no fraction."""
    unit = max((unit for unit, factor in _SIZE_UNITS.items() if value % factor == 0), key=_SIZE_UNITS.__getitem__)
    return f"{value // _SIZE_UNITS[unit]}{unit}" if value else "0"


def spelled_duration(value: int) -> str:
    """In the largest unit up to days that leaves no fraction."""
    unit = next(unit for unit in ("d", "h", "m", "s") if value % _DURATION_UNITS[unit] == 0)
    return f"{value // _DURATION_UNITS[unit]}{unit}"


def spelled_switch(value: bool) -> str:
    return "on" if value else "off"


def spelled_words(words: list[str]) -> str:
    return ",".join(words)


def spelled_optional(nothing: str, spell: Callable[[Any], str] = str) -> Callable[[Any], str]:
    return lambda value: nothing if value is None or value == [] else spell(value)


def retention(api: str, default: timedelta | None) -> CompanySetting[int | None]:
    """How long the files of one API are kept, in seconds; None: until they are deleted. Each dialect with a
    retention of its own declares one."""
    return CompanySetting(
        f"retention.{api}",
        None if default is None else int(default.total_seconds()),
        f"how long files sent through {api} are kept: a duration such as 7d, or never",
        optional(duration, "never"),
        spelled_optional("never", spelled_duration),
    )


def url_life(api: str, default: timedelta) -> CompanySetting[int]:
    """How long the upload URLs of one API may be used, in seconds."""
    seconds = int(default.total_seconds())

    def parse(text: str) -> int:
        found = duration(text)
        if found > _LONGEST_URL:
            raise ValueError(f"{text!r} is too long; an upload URL lives for at most 7d.")
        return found

    return CompanySetting(
        f"{api}.expires-in",
        seconds,
        f"how long an upload URL of {api} may be used, such as {spelled_duration(seconds)}; at most 7d",
        parse,
        spelled_duration,
    )


def life(company: Company, setting: CompanySetting[int | None]) -> timedelta | None:
    """How long the company keeps files by that retention; None: until they are deleted."""
    seconds = company.get(setting)
    return None if seconds is None else timedelta(seconds=seconds)


RATE_LIMIT: CompanySetting[str | None] = CompanySetting(
    "rate-limit",
    None,
    "requests of the whole company, such as 600/minute; none: no limit",
    optional(rate, "none"),
    spelled_optional("none"),
)
KEY_RATE_LIMIT: CompanySetting[str | None] = CompanySetting(
    "key-rate-limit",
    None,
    "requests of each user, key or client, such as 60/minute; none: no limit",
    optional(rate, "none"),
    spelled_optional("none"),
)
QUOTA_BYTES: CompanySetting[int | None] = CompanySetting(
    "quota-bytes",
    None,
    "bytes that the company may hold, such as 50GiB; none: no limit",
    optional(size, "none"),
    spelled_optional("none", spelled_size),
)
QUOTA_FILES: CompanySetting[int | None] = CompanySetting(
    "quota-files",
    None,
    "files that the company may hold; none: no limit",
    optional(count, "none"),
    spelled_optional("none"),
)
MAX_SIZE: CompanySetting[int] = CompanySetting(
    "max-size", 10 * 2**30, "the largest file taken in through any API, such as 10MiB", size, spelled_size
)
MAX_PIXELS: CompanySetting[int] = CompanySetting(
    "max-pixels", 100_000_000, "the most pixels (width times height) that an image may have", count
)
TYPE_POLICY: CompanySetting[str] = CompanySetting(
    "type-policy",
    "strict",
    "strict: a file whose extension, declared type and bytes disagree is refused; lenient: its bytes decide",
    choice("strict", "lenient"),
)
UNSCANNABLE: CompanySetting[str] = CompanySetting(
    "unscannable",
    "reject",
    "what becomes of files that the scanner cannot look into whole (encrypted, too big, too deep): reject or accept",
    choice("reject", "accept"),
)
DOWNLOADS: CompanySetting[str] = CompanySetting(
    "downloads",
    "stream",
    "how files go out: stream: through us; redirect: by a URL of the store that holds for a minute, where it has such",
    choice("stream", "redirect"),
)
LEGACY_MD5: CompanySetting[bool] = CompanySetting(
    "legacy-md5",
    False,
    "on: Basic also takes the MD5 hex of a password, for passwords set while it is on",
    switch,
    spelled_switch,
)
JOB_CAP: CompanySetting[int] = CompanySetting("job-cap", 4, "jobs of the company that may run at the same time", count)
RETENTION: CompanySetting[int | None] = CompanySetting(
    "retention",
    None,
    "how long files are kept where their API has no retention of its own: a duration such as 7d, or never",
    optional(duration, "never"),
    spelled_optional("never", spelled_duration),
)
CORS_ORIGINS: CompanySetting[list[str]] = CompanySetting(
    "cors-origins",
    [],
    "web origins whose pages may use the company's upload URLs, such as https://app.example.com; default: our own",
    origins,
    spelled_optional("default", spelled_words),
)

CORE: tuple[CompanySetting[Any], ...] = (
    RATE_LIMIT,
    KEY_RATE_LIMIT,
    QUOTA_BYTES,
    QUOTA_FILES,
    MAX_SIZE,
    MAX_PIXELS,
    TYPE_POLICY,
    UNSCANNABLE,
    DOWNLOADS,
    LEGACY_MD5,
    JOB_CAP,
    RETENTION,
    CORS_ORIGINS,
)
