"""Users who log in with a name and a password."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import companies_of, company_and_operator, split_login, with_services
from loadingdock.cli.grants import Grants, said
from loadingdock.cli.output import Json, answer, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from loadingdock.core.administration import Administration
    from loadingdock.core.model.companies import Company
    from loadingdock.core.model.identity import Principal, User
    from loadingdock.web.services import Services

app = typer.Typer(help="Users who log in with name and password (Basic).", no_args_is_help=True)

Login = Annotated[str, typer.Argument(metavar="NAME@COMPANY", help="What the user logs in with.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input: its first line.")
]


@app.command("add")
def add(login: Login, password_stdin: FromStdin = False, grant: Grants = None, as_json: Json = False) -> None:
    """Add a user."""
    password = _password(password_stdin)
    user = _with_user(login, lambda desk, who, name: desk.add_user(who, name, password, grant or ()))
    answer(as_json, user, f"Added the user {user['login']}, who {said(user['permissions'])}.")


@app.command("list")
def list_users(
    company: Annotated[str | None, typer.Argument(metavar="[COMPANY]", help="Only this company's.")] = None,
    as_json: Json = False,
) -> None:
    """List users."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from loadingdock.core.administration import operator

        companies = await companies_of(services, company)
        return [shown(of, user) for of in companies for user in await services.administration.users(operator(of))]

    table(
        as_json,
        "users",
        with_services(work),
        ("login", "permissions", "created_at", "disabled_at"),
        "There is no user; `loadingdock user add NAME@COMPANY` makes one.",
    )


@app.command("password")
def set_password(login: Login, password_stdin: FromStdin = False, as_json: Json = False) -> None:
    """Give a user another password."""
    password = _password(password_stdin)
    user = _with_user(login, lambda desk, who, name: desk.set_password(who, name, password))
    answer(as_json, user, f"The user {user['login']} has another password.")


@app.command("grant")
def set_grants(login: Login, grant: Grants = None, as_json: Json = False) -> None:
    """Set what a user may do: exactly the permissions given, none if none is given."""
    user = _with_user(login, lambda desk, who, name: desk.set_grants(who, name, grant or ()))
    answer(as_json, user, f"The user {user['login']} {said(user['permissions'])}.")


@app.command("disable")
def disable(login: Login, as_json: Json = False) -> None:
    """Shut a user out; links that the user signed are dead at once."""
    user = _with_user(login, lambda desk, who, name: desk.disable_user(who, name))
    answer(as_json, user, f"Disabled the user {user['login']}.")


@app.command("enable")
def enable(login: Login, as_json: Json = False) -> None:
    """Let a disabled user in again."""
    user = _with_user(login, lambda desk, who, name: desk.enable_user(who, name))
    answer(as_json, user, f"Enabled the user {user['login']}.")


def _with_user(login: str, deed: Callable[[Administration, Principal, str], Awaitable[User]]) -> dict[str, Any]:
    name, code = split_login(login)

    async def work(services: Services) -> dict[str, Any]:
        company, operator = await company_and_operator(services, code)
        return shown(company, await deed(services.administration, operator, name))

    return with_services(work)


def _password(from_stdin: bool) -> str:
    """Never from an argument: those stand in the process list and in the shell's history."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("give the password on standard input, with --password-stdin")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def shown(company: Company, user: User) -> dict[str, Any]:
    return {
        "login": f"{user.name}@{company.code}",
        "name": user.name,
        "company": company.code,
        "permissions": sorted(user.permissions),
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
    }
