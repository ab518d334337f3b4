"""One contact, by its key: what people may ask of what is kept about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import with_services
from loadingdock.cli.output import Json, answer
from loadingdock.cli.tables import Code, Company, contact_shown, table_of

if TYPE_CHECKING:
    from loadingdock.web.services import Services

app = typer.Typer(help="One contact, by its key: shown or deleted.", no_args_is_help=True)

Key = Annotated[list[str], typer.Argument(metavar="KEY...", help="The values of the table's key, in the key's order.")]


@app.command("get")
def get(company: Company, code: Code, key: Key, as_json: Json = False) -> None:
    """Show all that a table has about a contact. The audit log says that it was shown."""

    async def work(services: Services) -> dict[str, Any]:
        operator, found = await table_of(services, company, code)
        return contact_shown(found, await services.contacts.contact(operator, found, key))

    shown = with_services(work)
    answer(as_json, shown, "\n".join(f"{name}: {_text(value)}" for name, value in shown["values"].items()))


@app.command("delete")
def delete(company: Company, code: Code, key: Key, as_json: Json = False) -> None:
    """Delete a contact for good. The audit log keeps the number of its row, and nothing of what it held."""

    async def work(services: Services) -> int:
        operator, found = await table_of(services, company, code)
        return (await services.contacts.delete(operator, found, key)).row

    row = with_services(work)
    answer(as_json, {"row": row, "deleted": True}, f"Deleted the contact in row {row} of {code}.")


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
