"""API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import companies_of, company_and_operator, home_of_living, with_services
from loadingdock.cli.grants import Grants, said
from loadingdock.cli.output import Json, answer, table

if TYPE_CHECKING:
    from loadingdock.core.administration import NewKey
    from loadingdock.core.model.companies import Company
    from loadingdock.core.model.identity import ApiKey
    from loadingdock.web.services import Services

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command("add")
def add(
    company: Annotated[str, typer.Argument(metavar="COMPANY", help="The company's code.")],
    grant: Grants = None,
    label: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    as_json: Json = False,
) -> None:
    """Add an API key. It is shown this once: only its digest is kept."""

    async def work(services: Services) -> tuple[Company, NewKey]:
        of, operator = await company_and_operator(services, company)
        return of, await services.administration.add_key(operator, label, grant or ())

    of, new = with_services(work)
    answer(
        as_json,
        {"api_key": new.secret, **shown(of, new.key)},
        f"{new.secret}\nThis key is shown only now. Its id is {new.key.id}; it {said(new.key.permissions)}.",
    )


@app.command("list")
def list_keys(
    company: Annotated[str | None, typer.Argument(metavar="[COMPANY]", help="Only this company's.")] = None,
    as_json: Json = False,
) -> None:
    """List API keys, without the keys themselves."""

    async def work(services: Services) -> list[dict[str, Any]]:
        return [shown(of, key) for of, key in await _keys(services, company)]

    table(
        as_json,
        "keys",
        with_services(work),
        ("id", "company", "label", "permissions", "created_at", "revoked_at"),
        "There is no key; `loadingdock key add COMPANY` makes one.",
    )


@app.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `key list` shows it.")], as_json: Json = False
) -> None:
    """Revoke a key; it and the links that it signed are dead at once."""

    async def work(services: Services) -> Company:
        from loadingdock.core.administration import operator

        of = home_of_living(await _keys(services, None), id, "key")
        await services.administration.revoke_key(operator(of), id)
        return of

    of = with_services(work)
    answer(as_json, {"id": id, "company": of.code, "revoked": True}, f"Revoked the key {id} of {of.code}.")


async def _keys(services: Services, code: str | None) -> list[tuple[Company, ApiKey]]:
    from loadingdock.core.administration import operator

    companies = await companies_of(services, code)
    return [(of, key) for of in companies for key in await services.administration.keys(operator(of))]


def shown(company: Company, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "company": company.code,
        "label": key.label,
        "permissions": sorted(key.permissions),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
