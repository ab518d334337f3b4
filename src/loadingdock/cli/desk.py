"""The service's use cases, opened for the length of one command, beside a running server or without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from loadingdock.bootstrap import System
    from loadingdock.core.model.companies import Company
    from loadingdock.core.model.identity import ApiKey, OAuthClient, Principal
    from loadingdock.settings import Settings
    from loadingdock.web.services import Services

    Revocable = ApiKey | OAuthClient

T = TypeVar("T")


def settings() -> Settings:
    from loadingdock.settings import Settings

    return Settings()


def with_system(work: Callable[[System], Awaitable[T]]) -> T:
    """Runs `work` on the installation that the settings name. Logs of the command go to standard error as text:
    whoever typed it is in front of it."""
    import asyncio

    from loadingdock import logs
    from loadingdock.bootstrap import system

    logs.configure("warning", "text")
    chosen = settings()

    async def run() -> T:
        async with system(chosen) as opened:
            return await work(opened)

    return asyncio.run(run())


def with_services(work: Callable[[Services], Awaitable[T]]) -> T:
    """The same for a command that needs the use cases only."""
    return with_system(lambda opened: work(opened.services))


async def company_and_operator(services: Services, code: str) -> tuple[Company, Principal]:
    """The company of that code and the operator as who acts in it. Says which companies there are if it is not."""
    from loadingdock.cli.output import CommandFailed
    from loadingdock.core.administration import operator
    from loadingdock.core.errors import NotFound

    try:
        company = await services.administration.company(code)
    except NotFound:
        known = ", ".join(company.code for company in await services.administration.companies())
        hint = f"there are {known}" if known else "there is none yet; `loadingdock company add CODE` makes one"
        raise CommandFailed(f"There is no company {code!r}: {hint}.", "not_found") from None
    return company, operator(company)


async def companies_of(services: Services, code: str | None) -> tuple[Company, ...]:
    """The company of that code, as above; all of them without one."""
    if code is None:
        return await services.administration.companies()
    return ((await company_and_operator(services, code))[0],)


def home_of_living(found: Iterable[tuple[Company, Revocable]], id: str, noun: str) -> Company:
    """The company of that key or client, unless it was revoked. Says how to see those that live if there is none."""
    from loadingdock.cli.output import CommandFailed

    for of, one in found:
        if one.id == id and one.revoked_at is None:
            return of
    raise CommandFailed(f"There is no living {noun} {id!r}; `loadingdock {noun} list` shows them.", "not_found")


def split_login(login: str) -> tuple[str, str]:
    """`NAME@COMPANY`; a name may hold an `@` itself, so the last one counts."""
    import typer

    name, at, code = login.rpartition("@")
    if not at or not name or not code:
        raise typer.BadParameter(f"{login!r} is not NAME@COMPANY, such as anna@acme")
    return name, code
