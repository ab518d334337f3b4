"""Which extensions belong to which MIME types, and whether a name, a declared type and the bytes agree.

Types are compared in canonical form: lower case, without parameters, aliases resolved to the name in IANA's registry
where there is one. The tables are our own: `mimetypes` reads files of the machine it runs on, and two machines would
then judge one upload differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

UNKNOWN = "application/octet-stream"
EMPTY = "application/x-empty"

_OOXML = "application/vnd.openxmlformats-officedocument."
DOCX = _OOXML + "wordprocessingml.document"
XLSX = _OOXML + "spreadsheetml.sheet"
PPTX = _OOXML + "presentationml.presentation"

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "application/acrobat": "application/pdf",
        "application/bzip2": "application/x-bzip2",
        "application/csv": "text/csv",
        "application/javascript": "text/javascript",
        "application/rtf": "text/rtf",
        "application/x-csv": "text/csv",
        "application/x-dosexec": "application/vnd.microsoft.portable-executable",
        "application/x-gzip": "application/gzip",
        "application/x-javascript": "text/javascript",
        "application/x-jar": "application/java-archive",
        "application/x-msdownload": "application/vnd.microsoft.portable-executable",
        "application/x-ndjson": "application/jsonl",
        "application/x-pdf": "application/pdf",
        "application/x-rar": "application/vnd.rar",
        "application/x-rar-compressed": "application/vnd.rar",
        "application/x-zip": "application/zip",
        "application/x-zip-compressed": "application/zip",
        "application/x-zstd": "application/zstd",
        "application/xml": "text/xml",
        "application/cdfv2": "application/x-ole-storage",
        "application/cdfv2-unknown": "application/x-ole-storage",
        "audio/mp3": "audio/mpeg",
        "audio/wav": "audio/vnd.wave",
        "audio/wave": "audio/vnd.wave",
        "audio/x-wav": "audio/vnd.wave",
        "audio/x-m4a": "audio/mp4",
        "binary/octet-stream": UNKNOWN,
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "image/svg": "image/svg+xml",
        "image/x-bmp": "image/bmp",
        "image/x-ico": "image/vnd.microsoft.icon",
        "image/x-icon": "image/vnd.microsoft.icon",
        "image/x-ms-bmp": "image/bmp",
        "image/x-png": "image/png",
        "image/x-tiff": "image/tiff",
        "inode/x-empty": EMPTY,
        "text/comma-separated-values": "text/csv",
        "text/x-csv": "text/csv",
        "text/x-json": "application/json",
        "text/x-markdown": "text/markdown",
        "text/x-rtf": "text/rtf",
        "video/x-m4v": "video/mp4",
    }
)

# The first type of an extension is the one a name stands for; the others are as good.
_EXTENSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "7z": ("application/x-7z-compressed",),
        "avi": ("video/x-msvideo",),
        "avif": ("image/avif",),
        "bin": (UNKNOWN,),
        "bmp": ("image/bmp",),
        "bz2": ("application/x-bzip2",),
        "css": ("text/css",),
        "csv": ("text/csv", "text/plain"),
        "doc": ("application/msword",),
        "docm": ("application/vnd.ms-word.document.macroenabled.12",),
        "docx": (DOCX,),
        "eml": ("message/rfc822",),
        "epub": ("application/epub+zip",),
        "exe": ("application/vnd.microsoft.portable-executable",),
        "gif": ("image/gif",),
        "gz": ("application/gzip",),
        "heic": ("image/heic", "image/heif"),
        "heif": ("image/heif", "image/heic"),
        "htm": ("text/html",),
        "html": ("text/html",),
        "ico": ("image/vnd.microsoft.icon",),
        "ics": ("text/calendar",),
        "jar": ("application/java-archive",),
        "jpe": ("image/jpeg",),
        "jpeg": ("image/jpeg",),
        "jpg": ("image/jpeg",),
        "js": ("text/javascript",),
        "json": ("application/json",),
        "jsonl": ("application/jsonl",),
        "log": ("text/plain",),
        "m4a": ("audio/mp4",),
        "md": ("text/markdown",),
        "mov": ("video/quicktime",),
        "mp3": ("audio/mpeg",),
        "mp4": ("video/mp4", "audio/mp4"),
        "msg": ("application/vnd.ms-outlook",),
        "odp": ("application/vnd.oasis.opendocument.presentation",),
        "ods": ("application/vnd.oasis.opendocument.spreadsheet",),
        "odt": ("application/vnd.oasis.opendocument.text",),
        "ogg": ("audio/ogg", "video/ogg", "application/ogg"),
        "pdf": ("application/pdf",),
        "png": ("image/png",),
        "ppt": ("application/vnd.ms-powerpoint",),
        "pptm": ("application/vnd.ms-powerpoint.presentation.macroenabled.12",),
        "pptx": (PPTX,),
        "rar": ("application/vnd.rar",),
        "rtf": ("text/rtf",),
        "svg": ("image/svg+xml",),
        "tar": ("application/x-tar",),
        "tgz": ("application/gzip",),
        "tif": ("image/tiff",),
        "tiff": ("image/tiff",),
        "tsv": ("text/tab-separated-values",),
        "txt": ("text/plain",),
        "vcf": ("text/vcard",),
        "wav": ("audio/vnd.wave",),
        "webm": ("video/webm", "audio/webm"),
        "webp": ("image/webp",),
        "xls": ("application/vnd.ms-excel",),
        "xlsm": ("application/vnd.ms-excel.sheet.macroenabled.12",),
        "xlsx": (XLSX,),
        "xml": ("text/xml",),
        "xz": ("application/x-xz",),
        "yaml": ("application/yaml",),
        "yml": ("application/yaml",),
        "zip": ("application/zip",),
        "zst": ("application/zstd",),
    }
)

# Types whose bytes are text, so that no signature tells one from another. HTML and SVG are not among them: a browser
# runs what is in them, and they can be told by their bytes.
_TEXTS = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/yaml",
        "message/rfc822",
        "text/calendar",
        "text/css",
        "text/csv",
        "text/javascript",
        "text/markdown",
        "text/plain",
        "text/rtf",
        "text/tab-separated-values",
        "text/vcard",
        "text/xml",
    }
)
_XML = frozenset({"image/svg+xml", "text/xml", "application/xhtml+xml"})
_ZIPS = frozenset(
    {
        DOCX,
        XLSX,
        PPTX,
        "application/epub+zip",
        "application/java-archive",
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.ms-powerpoint.presentation.macroenabled.12",
        "application/vnd.ms-word.document.macroenabled.12",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.text",
    }
)
# One container format whose members cannot be told apart for certain.
_FAMILIES = (
    frozenset({"image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence"}),
    frozenset({"video/mp4", "audio/mp4", "video/quicktime"}),
    frozenset({"audio/ogg", "video/ogg", "application/ogg"}),
    frozenset({"video/webm", "audio/webm"}),
)
# What a detector may say of a type that has no signature of its own, or only that of its container.
_VAGUER: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "application/msword": frozenset({"application/x-ole-storage"}),
        "application/vnd.ms-excel": frozenset({"application/x-ole-storage"}),
        "application/vnd.ms-outlook": frozenset({"application/x-ole-storage"}),
        "application/vnd.ms-powerpoint": frozenset({"application/x-ole-storage"}),
        "application/zip": _ZIPS,
        "audio/mpeg": frozenset({UNKNOWN}),  # frames may begin anywhere
        "text/css": frozenset({"text/html"}),
        "text/javascript": frozenset({"text/html"}),
        "text/markdown": frozenset({"text/html"}),  # a README often begins with a tag
    }
)
# Browsers on Windows name a CSV by the program that opens it.
_MISNOMERS: Mapping[str, frozenset[str]] = MappingProxyType({"csv": frozenset({"application/vnd.ms-excel"})})

# Extensions that a web server may act upon wherever they stand in a name (Apache's mod_mime), or that a system runs.
# `com` and `js` are left out: www.example.com.pdf and node.js.pdf are honest names.
_EXECUTABLE = re.compile(
    r"""
      as(a|ax|cx|hx|mx|p|px) | cer              # IIS
    | ph(p\d?|ps|t|tml|ar) | f?cgi | shtml   # what Apache is commonly told to run
    | jspx? | jar | pl | py | rb | htaccess
    | exe | dll | cpl | scr | pif | lnk | msi | bat | cmd | hta | vb[es] | jse | ws[fh] | ps1 | sh
    """,
    re.VERBOSE,
)
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")  # RFC 6838, section 4.2


def canonical(type: str) -> str:
    """`image/JPG; q=1` becomes `image/jpeg`; what is no MIME type at all becomes `application/octet-stream`."""
    bare = type.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(bare):
        return UNKNOWN
    return _ALIASES.get(bare, bare)


def told(content_type: str) -> str | None:
    """The type that a client says its bytes have; None where it says nothing. A form is none: that is what curl says
    of any bytes by itself."""
    type = canonical(content_type)
    return None if type in {UNKNOWN, "application/x-www-form-urlencoded"} else type


def extension(name: str) -> str:
    """The last extension in lower case, without its dot; "" where there is none. A leading dot makes no extension."""
    stem, dot, last = name.rstrip(". ").rpartition(".")
    return last.lower() if dot and stem.strip(". ") else ""


def types_of_extension(extension: str) -> frozenset[str]:
    """The types that files with this extension may have; empty if the extension says nothing."""
    return frozenset(_EXTENSIONS.get(extension.lower().removeprefix("."), ()))


def type_of_name(name: str) -> str | None:
    """The one type that a name stands for by its extension; None if it says nothing."""
    types = _EXTENSIONS.get(extension(name))
    return types[0] if types else None


def textual(type: str) -> bool:
    """Whether the bytes of this type are text that only a name can tell from other text."""
    return type in _TEXTS or type.startswith("text/x-")


def accepts(claimed: str, seen: str, *, opened: bool = False) -> bool:
    """Whether bytes detected as `seen` may be what `claimed` says, both canonical.

    Exact, but lenient where bytes cannot tell: text from other text, a container from what is in it. `opened`: the
    container was looked into, so that a plain archive is no document.
    """
    if claimed in (seen, UNKNOWN) or seen == EMPTY:
        return True
    if seen in _VAGUER.get(claimed, ()) or any(claimed in family and seen in family for family in _FAMILIES):
        return True
    if claimed in _ZIPS:
        return seen == "application/zip" and not opened
    if claimed in _XML and seen in ("text/xml", "text/plain"):
        return True
    if claimed == "text/plain":
        return textual(seen)
    return textual(claimed) and (seen == "text/plain" or seen.startswith("text/x-"))


def agrees(name: str, declared: str | None, detected: str | None, *, opened: bool = False) -> str | None:
    """None when extension, declared type and detected type agree; else a sentence that says which do not.

    What is absent or says nothing (no extension or an unknown one, `application/octet-stream` declared, nothing
    detected yet) agrees with everything. A script's extension inside the name (`x.php.jpg`) is always refused.
    """
    hidden = _hidden_extension(name)
    if hidden:
        return f"The name {name!r} hides the extension .{hidden} before its last one."
    ext = extension(name)
    of_name = types_of_extension(ext)
    claim = canonical(declared) if declared else UNKNOWN
    seen = canonical(detected) if detected else None
    misnamed = claim in _MISNOMERS.get(ext, ())
    if misnamed:
        claim = UNKNOWN
    if of_name and claim != UNKNOWN and not any(accepts(t, claim) or accepts(claim, t) for t in of_name):
        return f"The extension .{ext} stands for {_or(of_name)}, but {claim} was declared."
    if seen is None:
        return None
    if of_name and not any(accepts(t, seen, opened=opened) for t in of_name):
        return f"The extension .{ext} stands for {_or(of_name)}, but the bytes are {seen}."
    if not accepts(claim, seen, opened=opened):
        return f"The declared type is {claim}, but the bytes are {seen}."
    return None


def comparable(name: str, declared: str | None) -> bool:
    """Whether any bytes at all could disagree with the name or the declared type."""
    claim = canonical(declared) if declared else UNKNOWN
    return claim != UNKNOWN or bool(types_of_extension(extension(name)) - {UNKNOWN})


def _hidden_extension(name: str) -> str | None:
    # IIS once stopped at a semicolon and NTFS at a colon, so what precedes them counts as an extension as well.
    inner = [re.split(r"[;:\s]", part)[0].lower() for part in name.split(".")[1:-1]]
    last = name.rpartition(".")[2]
    if ";" in last or ":" in last:
        inner.append(re.split(r"[;:\s]", last)[0].lower())
    return next((part for part in inner if _EXECUTABLE.fullmatch(part)), None)


def _or(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
