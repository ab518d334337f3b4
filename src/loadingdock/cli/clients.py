"""OAuth clients, who get their tokens by client credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import companies_of, company_and_operator, home_of_living, with_services
from loadingdock.cli.grants import Grants, said
from loadingdock.cli.output import Json, answer, table

if TYPE_CHECKING:
    from loadingdock.core.administration import NewClient
    from loadingdock.core.model.companies import Company
    from loadingdock.core.model.identity import OAuthClient
    from loadingdock.web.services import Services

app = typer.Typer(help="OAuth clients (client credentials).", no_args_is_help=True)


@app.command("add")
def add(
    company: Annotated[str, typer.Argument(metavar="COMPANY", help="Its home: the company's code.")],
    grant: Grants = None,
    ttl: Annotated[int, typer.Option(metavar="SECONDS", help="How long its tokens live.")] = 300,
    others: Annotated[
        list[str] | None, typer.Option("--company", metavar="CODE", help="A further company it serves; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a client. Its secret is shown this once: only its digest is kept."""
    from datetime import timedelta

    async def work(services: Services) -> NewClient:
        _, operator = await company_and_operator(services, company)
        further = [(await company_and_operator(services, code))[0] for code in others or ()]
        return await services.administration.add_client(
            operator, grant or (), ttl=timedelta(seconds=ttl), others=further
        )

    new = with_services(work)
    client = new.client
    data = {
        "client_id": client.id,
        "client_secret": new.secret,
        "organization_id": str(new.company.number),
        "company": new.company.code,
        "permissions": sorted(client.permissions),
        "token_ttl": client.token_ttl,
    }
    text = "\n".join(f"{name}: {data[name]}" for name in ("client_id", "client_secret", "organization_id"))
    answer(as_json, data, f"{text}\nThe secret is shown only now. The client {said(client.permissions)}.")


@app.command("list")
def list_clients(
    company: Annotated[str | None, typer.Argument(metavar="[COMPANY]", help="Only this company's.")] = None,
    as_json: Json = False,
) -> None:
    """List clients, without their secrets."""

    async def work(services: Services) -> list[dict[str, Any]]:
        clients = await _clients(services, company)
        codes = {of.id: of.code for of in await services.administration.companies()}
        return [shown(client, codes) for _, client in clients]

    table(
        as_json,
        "clients",
        with_services(work),
        ("client_id", "companies", "permissions", "token_ttl", "created_at", "revoked_at"),
        "There is no client; `loadingdock client add COMPANY` makes one.",
    )


@app.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="As `client list` shows it.")], as_json: Json = False
) -> None:
    """Revoke a client; its tokens and links are dead at once."""

    async def work(services: Services) -> Company:
        from loadingdock.core.administration import operator

        of = home_of_living(await _clients(services, None), id, "client")
        await services.administration.revoke_client(operator(of), id)
        return of

    of = with_services(work)
    answer(as_json, {"client_id": id, "company": of.code, "revoked": True}, f"Revoked the client {id} of {of.code}.")


async def _clients(services: Services, code: str | None) -> list[tuple[Company, OAuthClient]]:
    """Each once, with its home; for a company also those of others that serve it."""
    from loadingdock.core.administration import operator

    desk = services.administration
    companies = {company.id: company for company in await desk.companies()}
    found: dict[str, tuple[Company, OAuthClient]] = {}
    for of in await companies_of(services, code):
        for client in await desk.clients(operator(of)):
            found[client.id] = (companies[client.company_ids[0]], client)
    return list(found.values())


def shown(client: OAuthClient, codes: dict[int, str]) -> dict[str, Any]:
    return {
        "client_id": client.id,
        "companies": [codes[id] for id in client.company_ids],
        "permissions": sorted(client.permissions),
        "token_ttl": client.token_ttl,
        "created_at": client.created_at,
        "revoked_at": client.revoked_at,
    }
