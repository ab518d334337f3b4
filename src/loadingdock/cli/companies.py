"""Companies, the tenants of the installation, and what is set for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import company_and_operator, with_services
from loadingdock.cli.output import Json, answer, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from loadingdock.core.administration import Administration
    from loadingdock.core.model.companies import Company, CompanySetting
    from loadingdock.core.model.identity import Principal
    from loadingdock.web.services import Services

app = typer.Typer(help="Companies (tenants) and their settings.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(metavar="CODE", help="The company's code: what follows the @ of a login.")]


@app.command("add")
def add(
    code: Code,
    name: Annotated[str | None, typer.Option(help="Its name for people; the code if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Add a company."""
    company = with_services(lambda services: services.administration.add_company(code, name))
    answer(as_json, shown(company), f"Added the company {company.code}, number {company.number}.")


@app.command("list")
def list_companies(as_json: Json = False) -> None:
    """List the companies."""
    companies = with_services(lambda services: services.administration.companies())
    table(
        as_json,
        "companies",
        [shown(company) for company in companies],
        ("code", "number", "name", "created_at", "disabled_at"),
        "There is no company yet; `loadingdock company add CODE` makes one.",
    )


@app.command("show")
def show(code: Code, as_json: Json = False) -> None:
    """Show a company and what it uses."""

    async def work(services: Services) -> tuple[dict[str, Any], list[str]]:
        company, _ = await company_and_operator(services, code)
        usage = await services.records.read(company.id, lambda unit: unit.ledger.get())
        found = {**shown(company), "bytes": usage.bytes, "files": usage.files}
        return found, _spelled(company, services.company_settings)

    found, spelled = with_services(work)
    lines = [f"{name}: {value}" for name, value in found.items() if name not in {"settings", "disabled_at"}]
    answer(as_json, found, "\n".join([*lines, *spelled]))


@app.command("set")
def set_company(
    code: Code,
    values: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="An empty value brings the default back.")
    ],
    as_json: Json = False,
) -> None:
    """Set things for a company; `company settings` lists what can be set."""
    texts = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise typer.BadParameter(f"{value!r} is not KEY=VALUE, such as quota-bytes=50GiB")
        texts[key.strip()] = text

    async def work(services: Services) -> tuple[Company, list[str]]:
        _, operator = await company_and_operator(services, code)
        company = await services.administration.set_company(operator, texts)
        return company, _spelled(company, services.company_settings)

    company, spelled = with_services(work)
    now = " ".join(spelled)
    answer(as_json, shown(company), f"The company {company.code} has now: {now or 'every default'}.")


@app.command("settings")
def list_settings(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="Show this company's values too.")] = None,
    as_json: Json = False,
) -> None:
    """List what can be set for a company, with meaning and default."""

    async def work(services: Services) -> tuple[Mapping[str, Any], Company | None]:
        company = None if code is None else (await company_and_operator(services, code))[0]
        return services.company_settings, company

    settings, company = with_services(work)
    rows = []
    for key, setting in sorted(settings.items()):
        spell = (lambda value: value) if as_json else setting.spell
        row = {"key": key, "default": spell(setting.default), "meaning": setting.meaning}
        rows.append(row if company is None else {**row, "value": spell(company.get(setting))})
    columns = ("key", "default", "meaning") if company is None else ("key", "value", "default", "meaning")
    table(as_json, "settings", rows, columns, "Nothing can be set.")


@app.command("disable")
def disable(code: Code, as_json: Json = False) -> None:
    """Shut a company out: its users, keys, clients and links are dead at once; its data stays."""

    company = _changed(code, lambda desk, who: desk.disable_company(who))
    answer(as_json, shown(company), f"Disabled the company {company.code}.")


@app.command("enable")
def enable(code: Code, as_json: Json = False) -> None:
    """Let a disabled company in again."""

    company = _changed(code, lambda desk, who: desk.enable_company(who))
    answer(as_json, shown(company), f"Enabled the company {company.code}.")


def _changed(code: str, deed: Callable[[Administration, Principal], Awaitable[Company]]) -> Company:
    async def work(services: Services) -> Company:
        _, operator = await company_and_operator(services, code)
        return await deed(services.administration, operator)

    return with_services(work)


def _spelled(company: Company, known: Mapping[str, CompanySetting[Any]]) -> list[str]:
    """What is set, as it can be typed. A setting of a newer program is shown as it is kept."""
    return [f"{key}={known[key].spell(value) if key in known else value}" for key, value in company.settings.items()]


def shown(company: Company) -> dict[str, Any]:
    return {
        "code": company.code,
        "number": company.number,
        "name": company.name,
        "created_at": company.created_at,
        "disabled_at": company.disabled_at,
        "settings": dict(company.settings),
    }
