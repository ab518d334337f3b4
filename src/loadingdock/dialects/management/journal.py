"""What was done, and what is left to do: the audit log and the jobs of the company."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from loadingdock.core.model.jobs import JobState
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.records import Unit
from loadingdock.dialects.management.admin_shapes import AuditShape, JobShape
from loadingdock.dialects.management.call import Administrator, PageQuery, paged, router, shows
from loadingdock.dialects.management.wire import Label, Listing, answer

_MOST_JOBS = 10_000  # as many as a list looks through

routes = router("journal")


class AuditQuery(PageQuery):
    action: Annotated[Label | None, Field(description="Exactly this deed.", examples=["download"])] = None
    subject: Annotated[Label | None, Field(description="Exactly this subject, such as a file's id.")] = None


class JobQuery(PageQuery):
    state: JobState = JobState.DEAD


@routes.get("/audit", summary="Read the audit log", responses=shows(Listing[AuditShape], "A page, newest first."))
async def read_audit(caller: Administrator, query: Annotated[AuditQuery, Query()]) -> Response:
    """Who did what, when and from where. Rows are added and never changed."""

    async def work(unit: Unit) -> Page[AuditEntry]:
        return await unit.audit.list(limit=query.limit, cursor=query.cursor, action=query.action, subject=query.subject)

    page = await caller.services.records.read(caller.principal.company.id, work)
    return answer(Listing(items=[AuditShape.of(entry) for entry in page.items], next_cursor=page.cursor))


@routes.get("/jobs", summary="List jobs", responses=shows(Listing[JobShape], "A page, by id."))
async def list_jobs(caller: Administrator, query: Annotated[JobQuery, Query()]) -> Response:
    """Dead ones, or those of another state. A job is dead after its last attempt failed."""
    company_id = caller.principal.company.id
    jobs = await caller.services.jobs.list(state=query.state, company_id=company_id, limit=_MOST_JOBS)
    page, cursor = paged(jobs, lambda job: job.id, query)
    return answer(Listing(items=[JobShape.of(job) for job in page], next_cursor=cursor))


@routes.post("/jobs/{id}/requeue", summary="Requeue a dead job", status_code=204)
async def requeue(caller: Administrator, id: str) -> Response:
    """It is tried again, its attempts forgotten."""

    async def act() -> Response:
        await caller.services.administration.requeue(caller.principal, id)
        return Response(status_code=204)

    return await caller.once("", act)
