"""Callbacks: what became of them, once more, and the secrets that sign them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import company_and_operator, with_services
from loadingdock.cli.output import CommandFailed, Json, answer, table, time

if TYPE_CHECKING:
    from loadingdock.core.callbacks import NewSecret
    from loadingdock.core.model.callbacks import Attempt, Callback
    from loadingdock.core.model.companies import Company
    from loadingdock.core.model.identity import Principal
    from loadingdock.web.services import Services

app = typer.Typer(help="Callbacks: what became of them, and once more.", no_args_is_help=True)

CompanyCode = Annotated[str, typer.Argument(metavar="COMPANY", help="The company's code.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `callback list` shows it.")]


@app.command("list")
def list_callbacks(
    company: CompanyCode,
    state: Annotated[str | None, typer.Option(help="Only these: pending, delivered, gone or failed.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only those about it, such as an import's number.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List a company's callbacks."""
    from loadingdock.core.model.callbacks import CallbackState

    states = [known.value for known in CallbackState]
    if state is not None and state not in states:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(states)}")

    async def work(services: Services) -> list[dict[str, Any]]:
        _, operator = await company_and_operator(services, company)
        page = await services.callbacks.list(
            operator, limit=limit, state=None if state is None else CallbackState(state), subject=subject
        )
        return [shown(callback) for callback in page.items]

    table(
        as_json,
        "callbacks",
        with_services(work),
        ("id", "event", "subject", "url", "state", "attempts", "created_at", "next_attempt_at"),
        "There is no such callback.",
    )


@app.command("show")
def show(id: Id, as_json: Json = False) -> None:
    """Show a callback and its attempts."""

    async def work(services: Services) -> tuple[Company, Callback, tuple[Attempt, ...]]:
        return await _find(services, id)

    of, callback, attempts = with_services(work)
    found = {"company": of.code, **shown(callback)}
    lines = [f"{name}: {time(value) if 'at' in name.split('_') else value}" for name, value in found.items()]
    lines += [
        f"  {attempt.number}. {time(attempt.at)} {attempt.took.total_seconds():.3f} s"
        f" {attempt.error or f'delivered ({attempt.status})'}"
        for attempt in attempts
    ]
    answer(as_json, {**found, "attempts": [_attempt(each) for each in attempts]}, "\n".join(lines))


@app.command("replay")
def replay(id: Id, as_json: Json = False) -> None:
    """Send a callback again, under the webhook-id that it had."""

    async def work(services: Services) -> tuple[Company, Callback]:
        from loadingdock.core.administration import operator

        of, _, _ = await _find(services, id)
        return of, await services.callbacks.replay(operator(of), id)

    of, callback = with_services(work)
    answer(as_json, {"company": of.code, **shown(callback)}, f"The callback {id} of {of.code} is sent again.")


@app.command("secret")
def secret(company: CompanyCode, as_json: Json = False) -> None:
    """Make a new secret that signs a company's callbacks. It is shown this once; the older one is used beside it for
    24 hours."""

    async def work(services: Services) -> tuple[Company, NewSecret]:
        of, operator = await company_and_operator(services, company)
        return of, await services.callbacks.rotate_secret(operator)

    of, new = with_services(work)
    others = "" if new.others_until is None else f" Until {time(new.others_until)} the older one is used too."
    answer(
        as_json,
        {"callback_secret": new.text, "id": new.secret.id, "company": of.code, "others_until": new.others_until},
        f"{new.text}\nThis secret is shown only now; it signs the callbacks of {of.code}.{others}",
    )


async def _find(services: Services, id: str) -> tuple[Company, Callback, tuple[Attempt, ...]]:
    from loadingdock.core.administration import operator
    from loadingdock.core.errors import NotFound

    for company in await services.administration.companies():
        by: Principal = operator(company)
        try:
            return company, *await services.callbacks.get(by, id)
        except NotFound:
            continue
    raise CommandFailed(f"There is no callback {id!r}; `loadingdock callback list COMPANY` shows them.", "not_found")


def shown(callback: Callback) -> dict[str, Any]:
    from loadingdock.core.callbacks import masked

    return {
        "id": callback.id,
        "event": callback.event,
        "subject": callback.subject,
        "url": masked(callback.url),
        "state": callback.state.value,
        "attempts": callback.attempts,
        "created_at": callback.created_at,
        "next_attempt_at": callback.next_at,
        "give_up_at": callback.give_up_at,
        "ended_at": callback.ended_at,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": attempt.at,
        "seconds": attempt.took.total_seconds(),
        "status": attempt.status,
        "error": attempt.error,
    }
