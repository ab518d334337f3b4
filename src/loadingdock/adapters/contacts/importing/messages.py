"""What parent and child say to each other: frames of JSON, each behind its length.

The child reads what strangers wrote: nothing that it says can be more than data to the parent.

| who | says | with |
| --- | --- | --- |
| parent, once | `place` | where contacts are, and libpq's settings |
| parent | `look`, `load`, `undo`, `forget` | a job |
| parent | `heard` | whether to go on, after each `proceeded` |
| parent | `commit` | after `settled` |
| child | `began`, `again`, `proceeded`, `reported`, `settled` | as a Watcher is told |
| child | `done`, `raised`, `failed` | how the job ended; the next may come |
| child | `cancelled` | how the job ended, and the child with it |
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, TypeAlias

from loadingdock.adapters.records.tables import declared, of_declared
from loadingdock.core import errors
from loadingdock.core.errors import DockError
from loadingdock.core.loading import Counts, Load, Operation
from loadingdock.core.model.imports import Asked, Outcome, RowProblem, RowReport
from loadingdock.core.ports.imports import Reported

LENGTH = struct.Struct(">I")

Message: TypeAlias = tuple[str, dict[str, Any]]


def framed(kind: str, **facts: Any) -> bytes:
    text = json.dumps([kind, facts], default=str).encode()
    return LENGTH.pack(len(text)) + text


def parsed(text: bytes) -> Message:
    kind, facts = json.loads(text)
    return kind, facts


def of_load(load: Load) -> dict[str, Any]:
    said = {name: getattr(load, name) for name in Load.__dataclass_fields__}
    return {**said, "table": declared(load.table)}


def load_of(said: Mapping[str, Any]) -> Load:
    return Load(
        **{
            **said,
            "table": of_declared(said["table"]),
            "operation": Operation(said["operation"]),
            "columns": tuple(said["columns"]),
            "key": tuple(said["key"]),
        }
    )


def of_asked(asked: Asked) -> dict[str, Any]:
    return asdict(asked)


def asked_of(said: Mapping[str, Any]) -> Asked:
    lists = {name: None if said[name] is None else tuple(said[name]) for name in ("columns", "key")}
    return Asked(**{**said, **lists, "operation": Operation(said["operation"])})


def of_counts(counts: Counts) -> list[int]:
    return list(astuple(counts))


def counts_of(said: Iterable[int]) -> Counts:
    return Counts(*said)


def of_rows(rows: Iterable[RowReport]) -> list[Any]:
    return [
        [row.outcome, row.ordinal, row.line, [astuple(each) for each in row.problems], row.raw, row.cut] for row in rows
    ]


def rows_of(said: Iterable[Any]) -> tuple[RowReport, ...]:
    return tuple(
        RowReport(Outcome(outcome), ordinal, line, tuple(RowProblem(*each) for each in problems), raw, cut)
        for outcome, ordinal, line, problems, raw, cut in said
    )


def of_reported(reported: Reported) -> list[str | None]:
    return [None if path is None else str(path) for path in (reported.rejects, reported.report)]


def reported_of(said: Iterable[str | None]) -> Reported:
    return Reported(*(None if path is None else Path(path) for path in said))


def of_error(error: DockError) -> dict[str, Any]:
    return {"name": type(error).__name__, "said": vars(error)}


def error_of(name: str, said: Mapping[str, Any]) -> DockError:
    """The same one. Raises ValueError if the core has none of that name."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, DockError)):
        raise ValueError(f"the core has no error {name!r}")
    error = kind.__new__(kind)
    error.args = (said["message"],)
    vars(error).update(said)
    return error
