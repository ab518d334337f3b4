"""The server with next to no application behind it, in a process of its own: what hostile HTTP meets first.

Run as a module it serves, prints its port and, while it lives, notes which paths it was asked for.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from loadingdock.core.errors import ClientGone, DockError, LimitExceeded, TooSlow
from loadingdock.web import server
from loadingdock.web.body import Body, Pace
from loadingdock.web.multipart import FilePart, receive_form
from loadingdock.web.protocol import Limits

MIB = 1 << 20
LIMITS = Limits(header_time=1.5, stall=2.0, linger=2.0)
KEEP_ALIVE = 1
PACE = Pace(rate=1024, window=1.0, deadline=4.0)

_seen: list[str] = []


def main() -> None:
    routes = [
        Route("/count", _count, methods=["PUT", "POST"]),
        Route("/form", _form, methods=["POST"]),
        Route("/deaf", _deaf, methods=["PUT", "POST"]),
        Route("/unread", _unread, methods=["POST"]),
        Route("/headers", _headers, methods=["GET", "POST"]),
        Route("/zeros", _zeros),
        Route("/memory", _memory),
        Route("/seen", _paths),
    ]
    app = Starlette(routes=routes, exception_handlers={DockError: _error})

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _seen.append(scope["path"])
        await app(scope, receive, send)

    server.run(
        noting,
        "127.0.0.1",
        0,
        limits=LIMITS,
        keep_alive=KEEP_ALIVE,
        drain=1,
        on_listening=lambda _, port: print(port, flush=True),
    )


@contextmanager
def running() -> Iterator[int]:
    """The port of such a process."""
    with subprocess.Popen([sys.executable, "-m", "tests.acceptance.tiny"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
            assert process.poll() is None, "the server has died of it"
        finally:
            process.terminate()


async def _count(request: Request) -> Response:
    """The body's length, within 64 MiB and PACE."""
    body = Body(request, max_size=64 * MIB, pace=PACE)
    async for _ in body.batches():
        pass
    return Response(str(body.received))


async def _form(request: Request) -> Response:
    async def on_file(part: FilePart) -> None:
        async for _ in part.batches():
            pass

    body = Body(request, max_size=1 << 30, pace=PACE)
    form = await receive_form(body, request.headers.get("content-type"), on_file)
    return Response(str(len(form.fields)))


async def _deaf(request: Request) -> Response:
    """Answers without a look at the body."""
    return Response(status_code=401)


async def _unread(request: Request) -> Response:
    """Has the body come whole, by no code of ours, and with no pace."""
    return Response(str(len(await request.body())))


async def _headers(request: Request) -> Response:
    """The headers as the application has them once the body has ended."""
    await request.body()
    return JSONResponse(request.headers.items())


async def _zeros(request: Request) -> Response:
    return Response(bytes(int(request.query_params["size"])))


async def _memory(request: Request) -> Response:
    """The most that the process has ever held, in bytes."""
    with open("/proc/self/status") as status:  # noqa: ASYNC230  # no file of a disk
        high = next(line for line in status if line.startswith("VmHWM"))
    return Response(str(int(high.split()[1]) * 1024))


async def _paths(request: Request) -> Response:
    return JSONResponse(_seen)


async def _error(request: Request, error: Exception) -> Response:
    match error:
        case ClientGone():
            return Response(status_code=499)
        case LimitExceeded():
            return Response(str(error), 413)
        case TooSlow():
            return Response(str(error), 408)
    return Response(str(error), 400)


if __name__ == "__main__":
    main()
