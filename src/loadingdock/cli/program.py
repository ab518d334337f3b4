"""The program itself: its commands, its global options, and how it ends.

Exit codes: 0 done; 1 it did not work, with a sentence that says why; 2 it was typed wrongly. With `--json` the
sentence comes as `{"error": {"code", "message"}}` on standard output, otherwise as text on standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from loadingdock.cli import (
    backup,
    callbacks,
    clients,
    companies,
    contacts,
    demo,
    doctor,
    fsck,
    imports,
    jobs,
    keys,
    move,
    serve,
    tables,
    users,
    version,
    work,
)
from loadingdock.cli.output import CommandFailed, to_json

app = typer.Typer(
    name="loadingdock",
    help="A self-hosted service that takes files in, speaking published upload APIs word for word.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (serve, work, demo, doctor, fsck, backup, move):
    module.register(app)
for name, noun in {
    "company": companies,
    "user": users,
    "key": keys,
    "client": clients,
    "callback": callbacks,
    "table": tables,
    "contact": contacts,
    "import": imports,
    "jobs": jobs,
}.items():
    app.add_typer(noun.app, name=name)
version.register(app)


@app.callback()
def options(
    data: Annotated[Path | None, typer.Option(help="Folder of the database and the files.")] = None,
    set: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any setting, for this one command; repeatable.")
    ] = None,
) -> None:
    """Flags are stronger than the environment: they are put in its place, so that both are read the same way and a
    child process sees them too."""
    values = [*(set or ()), *(() if data is None else (f"data={data}",))]
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{value!r} is not NAME=VALUE, such as public_url=https://files.example.com")
        os.environ[f"LOADINGDOCK_{name.strip().upper().replace('-', '_').removeprefix('LOADINGDOCK_')}"] = text


@cache
def command() -> Any:
    """All commands as they are parsed. Built once in a process: reading their signatures takes longer than most of
    them do."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """The command line from its words to its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        code = command()(words, prog_name="loadingdock", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:  # usage
        return _fail(as_json, "usage", _usage(error), error.exit_code)
    except CommandFailed as error:
        return _fail(as_json, error.code, str(error))
    except typer.Abort:
        return _fail(as_json, "aborted", "Stopped.")
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        from loadingdock.cli.failures import sentence

        return _fail(as_json, *sentence(error))


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" Try `{context.command_path} --help`." if context is not None else ""
    return error.format_message() + hint


def _fail(as_json: bool, code: str, message: str, exit_code: int = 1) -> int:
    if as_json:
        print(to_json({"error": {"code": code, "message": message}}))
    else:
        print(message, file=sys.stderr)
    return exit_code
