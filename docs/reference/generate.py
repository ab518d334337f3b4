"""Writes the references that are made from the code: `make docs`. A test holds them against it.

python docs/reference/generate.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer.main
from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo

from loadingdock.cli.program import app
from loadingdock.core import settings as company_settings
from loadingdock.core.permissions import GROUPS, NAMESPACED, PERMISSIONS
from loadingdock.settings import Settings
from loadingdock.web import metrics
from loadingdock.web.dialect import discover

HERE = Path(__file__).parent
_MADE = "<!-- Made from the code by `make docs`. -->\n"
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def settings() -> str:
    rows = (
        (f"`LOADINGDOCK_{name.upper()}`", _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    known = (*company_settings.CORE, *(setting for dialect in discover() for setting in dialect.settings))
    of_companies = (
        (f"`{setting.key}`", f"`{setting.spell(setting.default)}`", setting.meaning)
        for setting in sorted(known, key=lambda setting: setting.key)
    )
    permissions = ((f"`{name}`", meaning) for name, meaning in PERMISSIONS.items())
    groups = "; ".join(f"`{name}` is {_words(sorted(members))}" for name, members in GROUPS.items())
    return f"""{_MADE}
# Settings

Flags of the command line (`loadingdock --set NAME=VALUE ...`, `--data FOLDER`) are stronger than environment
variables, these than `loadingdock.toml` in the working directory, that than the defaults. In the file the names are in
lower case and without the prefix: `public_url = "https://files.example.com"`. Durations are written `90s`, `15m`,
`6h` or `1d`; lists in a variable are separated by commas.

{_table(("setting", "default", "meaning"), rows)}
## Of a company

Set with `loadingdock company set CODE KEY=VALUE`; an empty value brings the default back.

{_table(("key", "default", "meaning"), of_companies)}
## Permissions

Given with `--grant` to users, keys and clients. {_words(sorted(NAMESPACED))} can be narrowed to one namespace:
`files:read/rewards`. Groups stand for several: {groups}.

{_table(("permission", "what it allows"), permissions)}"""


def commands() -> str:
    root = typer.main.get_command(app)
    parts = [
        _MADE,
        "# Commands\n",
        "Every command takes `--json` and then prints exactly one JSON object on standard output, an error as"
        ' `{"error": {"code", "message"}}`. Exit codes: 0 done, 1 it did not work, 2 it was typed wrongly.'
        " Commands work whether the server is running or not.\n",
        _parameters(root, "Before any command"),
    ]
    for path, command in _leaves(root, "loadingdock"):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        names = " ".join(map(_metavar, arguments))
        parts.append(f"## {path}\n\n```\n{path} [OPTIONS] {names}".rstrip() + "\n```\n")
        parts.append(_paragraphs(command.help or ""))
        parts.append(_parameters(command, ""))
    return "\n".join(part for part in parts if part)


def measures() -> str:
    found = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    rows = []
    for metric in sorted(found, key=lambda metric: next(iter(metric.describe())).name):
        family = next(iter(metric.describe()))
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # said nowhere else
        rows.append((f"`{family.name}{suffix}`", family.type, labels, family.documentation))
    return f"""{_MADE}
# Metrics

What `/metrics` shows to Prometheus; no credentials are asked for. A label's values are names of ours or of the
settings, never what a client sent. What depends on an engine is there where the engine is used. Gauges are as of the
scrape, and those of the queue the same in every process; histograms and counters are of the process that is asked.

{_table(("metric", "type", "labels", "meaning"), rows)}"""


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield path, command
    for name, one in inner.items():
        yield from _leaves(one, f"{path} {name}")


def _metavar(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _parameters(command: Any, title: str) -> str:
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = _metavar(parameter)
        else:
            names = [*parameter.opts, *parameter.secondary_opts]
            flag = getattr(parameter, "is_flag", False)
            name = ", ".join(names) + ("" if flag else f" {_metavar(parameter)}")
        given = parameter.default
        default = "" if given in (None, False, ()) or callable(given) else _value(given)
        meaning = getattr(parameter, "help", None) or ""
        if name.startswith(("--install-completion", "--show-completion")):
            continue
        rows.append((f"`{name}`", meaning + (f" Default: {default}." if default and default != "``" else "")))
    heading = f"{title}:\n\n" if title else ""
    return heading + _table(("parameter", "meaning"), rows) if rows else ""


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")) + "\n"


def _default(field: FieldInfo) -> str:
    return _value(field.get_default(call_default_factory=True, validated_data={}))


def _value(value: object) -> str:
    match value:
        case None | [] | () | "":
            return "none"
        case bool():
            return "on" if value else "off"
        case timedelta():
            seconds = int(value.total_seconds())
            unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
            return f"`{seconds // size}{unit}`"
        case list() | tuple():
            return ", ".join(_value(item) for item in value)
        case _:
            return f"`{value}`"


def _words(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


REFERENCES = {"settings.md": settings, "commands.md": commands, "metrics.md": measures}


def main() -> int:
    stale = []
    for name, make in REFERENCES.items():
        file, text = HERE / name, make()
        if file.exists() and file.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            file.write_text(text)
            print(f"wrote {file}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
