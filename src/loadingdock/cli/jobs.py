"""Jobs of the installation: what waits, runs or was given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import with_services
from loadingdock.cli.output import CommandFailed, Json, answer, table

if TYPE_CHECKING:
    from loadingdock.core.model.jobs import Job
    from loadingdock.web.services import Services

app = typer.Typer(help="Jobs: what waits, runs or was given up.", no_args_is_help=True)


@app.command("list")
def list_jobs(
    state: Annotated[str, typer.Argument(metavar="[STATE]", help="dead, waiting, running, done or all.")] = "dead",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List jobs; those that were given up if no state is named."""
    from loadingdock.core.model.jobs import JobState

    states = [known.value for known in JobState]
    if state not in {*states, "all"}:
        raise typer.BadParameter(f"{state!r} is none of {', '.join([*states, 'all'])}")

    async def work(services: Services) -> list[dict[str, Any]]:
        codes = {of.id: of.code for of in await services.administration.companies()}
        jobs = await services.jobs.list(state=None if state == "all" else state, limit=limit)
        return [shown(job, codes) for job in jobs]

    table(
        as_json,
        "jobs",
        with_services(work),
        ("id", "company", "kind", "subject", "state", "attempts", "run_at", "last_error"),
        "No job was given up." if state == "dead" else "There is no such job.",
    )


@app.command("requeue")
def requeue(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `jobs list` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every job that was given up.")] = False,
    as_json: Json = False,
) -> None:
    """Let jobs that were given up run again, their attempts forgotten."""
    if bool(ids) == every:
        raise typer.BadParameter("name the jobs, or give --all")

    async def work(services: Services) -> list[str]:
        if not every:
            return [id for id in ids or () if await _requeue(services, id)]
        done: list[str] = []
        while dead := await services.jobs.list(state="dead", limit=200):
            moved = [job.id for job in dead if await _requeue(services, job.id)]
            if not moved:
                break
            done += moved
        return done

    done = with_services(work)
    if missing := [id for id in ids or () if id not in done]:
        raise CommandFailed(f"No job that was given up has the id {', '.join(missing)}.", "not_found")
    answer(as_json, {"requeued": done}, f"{len(done)} jobs will run again.")


async def _requeue(services: Services, id: str) -> bool:
    from loadingdock.core.errors import NotFound

    try:
        await services.administration.requeue(None, id)
    except NotFound:
        return False
    return True


def shown(job: Job, codes: dict[int, str]) -> dict[str, Any]:
    return {
        "id": job.id,
        "company": codes.get(job.company_id, str(job.company_id)),
        "kind": job.kind,
        "subject": job.subject,
        "state": job.state.value,
        "attempts": job.attempts,
        "created_at": job.created_at,
        "run_at": job.run_at,
        "worker": job.worker,
        "last_error": job.last_error,
    }
