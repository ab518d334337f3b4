"""What went wrong, as a word for scripts and a sentence for people."""

from __future__ import annotations

import structlog
from pydantic import ValidationError

from loadingdock.core.errors import DockError, Unavailable
from loadingdock.settings import WrongSetting

log = structlog.get_logger("loadingdock.cli")


def sentence(error: Exception) -> tuple[str, str]:
    """(code, sentence). What nobody foresaw is logged with its traceback, which is of use to us and not to a script."""
    match error:
        case Unavailable() if error.why:
            return error.code, f"The {error.what} is not available: {error.why}."
        case DockError():
            return error.code, error.message
        case ValidationError():
            return "settings", settings_sentence(error)
        case WrongSetting():
            return "settings", f"{error}."
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return "system", f"{where}{error.strerror or error}"
        case _:
            log.error("command failed", exc_info=error)
            return "internal_error", f"This should not have happened: {type(error).__name__}: {error}"


def settings_sentence(error: ValidationError) -> str:
    """Which setting is wrong and why. The value itself is not repeated: it may be a secret."""
    sentences = []
    for fault in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in fault["loc"][:1]).upper()
        if fault["type"] == "extra_forbidden":
            sentences.append(f"There is no setting {name.lower()!r}.")
        else:
            reason = fault["msg"].removeprefix("Value error, ")
            sentences.append(f"The setting LOADINGDOCK_{name} is wrong: {reason[:1].lower()}{reason[1:]}.")
    return " ".join(sentences)
