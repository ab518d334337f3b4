"""The company's events as they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.contacts import LOAD
from loadingdock.core.contacts import READ as CONTACTS
from loadingdock.core.errors import DockError, InvalidInput
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.journal import Event
from loadingdock.core.permissions import holds
from loadingdock.core.ports.records import Unit
from loadingdock.dialects.management.call import Call, authenticate, call, router
from loadingdock.dialects.management.files import READ as FILES
from loadingdock.dialects.management.wire import stamp
from loadingdock.web import sse

routes = router("events")

_HEARTBEAT = timedelta(seconds=15)  # proxies end connections on which nothing comes for a minute or less
_RETRY = 2000
_LAST_EVENT_ID = "last-event-id"
_OF_CONTACTS = ("import.", "callback.")  # how the kinds of events begin that are about contacts, not files

_EXAMPLE = """retry: 2000

id: 42
event: file.ready
data: {"at":"2026-11-22T02:23:28.000Z","subject":"0b8b3b4c-5a5e-4a38-8f5e-8f1f6dbb0a0e","version":1,\
"name":"report.pdf","api":"management"}

id: 43
event: import.progress
data: {"at":"2026-11-22T02:23:29.000Z","subject":"9876","table":"customers","records":40000,"bytes":1840020}

"""


def _parameter(name: str, where: str, meaning: str) -> dict[str, object]:
    schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    return {"name": name, "in": where, "required": False, "description": meaning, "schema": schema}


@routes.get(
    "/events",
    summary="Follow events",
    responses={
        200: {
            "description": "The stream. A comment comes every 15 s when nothing else does.",
            "content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
    openapi_extra={
        "parameters": [
            _parameter("after", "query", "Begin behind the event of that id; 0: with the oldest that is kept."),
            _parameter("Last-Event-ID", "header", "What browsers send when they come back; it counts before `after`."),
        ],
    },
)
async def follow(request: Request) -> Response:
    """Server-sent events: one for each state that a file comes into (`file.received`, `file.ready`,
    `file.infected`, ...) and for attachments, which needs `files:read`; and for each state of an import
    (`import.waiting`, `import.loading`, `import.finished`, ...; the `subject` is its number), for how far it is
    (`import.progress`) and for the end of a callback, which needs `contacts:read` or `contacts:load`. Who holds one of
    these rights hears the events that it is for. Events are kept for seven days.

    The stream ends when its credentials do, and when the service stops: come back with `Last-Event-ID`."""
    caller = await call(request)
    if not any(_hears(caller.principal)):
        caller.permit(FILES)  # which says so
    asked = request.headers.get(_LAST_EVENT_ID, request.query_params.get("after"))
    if asked is None:
        after = await caller.services.records.read(caller.principal.company.id, _last)
    elif asked.isascii() and asked.isdecimal() and int(asked) < 2**63:
        after = int(asked)
    else:
        raise InvalidInput("The id of the last event seen is a whole number, as events have it.", field="after")
    return sse.stream(_stream(request, caller, after))


async def _last(unit: Unit) -> int:
    return await unit.events.last()


async def _stream(request: Request, caller: Call, after: int) -> AsyncIterator[bytes]:
    """Each round waits for events as long as a heartbeat, and first asks again whether the caller may hear them: a
    key that was revoked hears nothing more once its memory in this process is no longer fresh."""
    services, company = caller.services, caller.principal.company
    draining = sse.draining(request)
    yield sse.opening(_RETRY)
    while True:
        try:
            of_files, of_contacts = _hears(await authenticate(services, request))
            if not of_files and not of_contacts:
                return
            events = await sse.unless(draining, services.records.watch(company.id, after, _HEARTBEAT))
        except DockError:
            return  # the answer has begun; coming back tells the client what is the matter
        if events is None:
            return
        heard = [event for event in events if (of_contacts if event.kind.startswith(_OF_CONTACTS) else of_files)]
        for event in heard:
            yield _message(event)
        if not heard:
            yield sse.HEARTBEAT
        after = max((event.seq for event in events), default=after)


def _hears(principal: Principal) -> tuple[bool, bool]:
    """(of files, of contacts)"""
    held = principal.permissions
    return holds(held, FILES), holds(held, CONTACTS) or holds(held, LOAD)


def _message(event: Event) -> bytes:
    return sse.message(event.seq, event.kind, {"at": stamp(event.at), "subject": event.subject, **event.data})
