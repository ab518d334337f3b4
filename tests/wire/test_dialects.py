"""What every dialect keeps, whichever there are; and that a sixth one is a folder and nothing else."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from starlette.requests import Request
from starlette.responses import Response

import loadingdock.dialects
from loadingdock.core import errors as core_errors
from loadingdock.core import settings as core_settings
from loadingdock.core.errors import DockError
from loadingdock.web import errors as web_errors
from loadingdock.web import oauth, objects, operations
from loadingdock.web.context import Context, attach
from loadingdock.web.dialect import Dialect, discover
from loadingdock.web.problems import SAMPLES
from tests.service import Service
from tests.wire.replay import Replay, transcripts
from tests.wire.transcripts import read

DIALECTS = discover()
# The service's own shapes are held to the same as the wires'.
RENDERING = (*DIALECTS, oauth.dialect, objects.dialect, operations.dialect)


class Unforeseen(DockError):
    """A kind of error that no table knows by its name."""

    code = "unforeseen"


def asked(path: str, headers: dict[str, str] | None = None) -> Request:
    """A request of which nothing is known but its path."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    attach(scope, Context(trace_id="0af7651916cd43dd8448eb211c80319c", address="192.0.2.1"))
    return Request(scope)


def body_of(response: Response) -> object:
    """The body, read as its Content-Type says."""
    content = bytes(response.body)
    media_type = response.headers["content-type"].partition(";")[0]
    if media_type.endswith("json"):
        return json.loads(content)
    assert media_type.endswith("xml"), f"{media_type} is no form of error"
    return ElementTree.fromstring(content)


# --- errors ---------------------------------------------------------------------------------------


def test_there_is_a_sample_of_every_error() -> None:
    defined = {
        kind
        for module in (core_errors, web_errors)
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, DockError) and kind is not DockError
    }
    assert {type(sample) for sample in SAMPLES} == defined


@pytest.mark.parametrize("error", [*SAMPLES, DockError("Something."), Unforeseen("Something.")], ids=lambda e: e.code)
@pytest.mark.parametrize("dialect", RENDERING, ids=lambda dialect: dialect.name)
def test_every_error_is_rendered(dialect: Dialect, error: DockError) -> None:
    for prefix in dialect.prefixes:
        response = dialect.render(error, asked(f"{prefix}/x"))
        assert 400 <= response.status_code <= 599
        assert body_of(response)
        assert int(response.headers["content-length"]) == len(bytes(response.body))
        if response.status_code == 401 and dialect is not operations.dialect:  # which asks nobody who they are
            assert response.headers["www-authenticate"]  # RFC 9110 15.5.2
        if response.status_code == 405:
            assert response.headers["allow"] == getattr(error, "allow", None)  # 15.5.6
        if isinstance(error, core_errors.RateLimited | core_errors.Unavailable):
            assert response.headers["retry-after"] == str(error.retry_after)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: error.code)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_an_error_of_a_kind_to_come_is_rendered_as_its_parent(dialect: Dialect, error: DockError) -> None:
    later = DockError(str(error))
    later.__dict__.update(error.__dict__)
    later.__class__ = type("Child", (type(error),), {})
    path = f"{dialect.prefixes[0]}/x"
    assert dialect.render(later, asked(path)).status_code == dialect.render(error, asked(path)).status_code


@pytest.mark.security(26)
@pytest.mark.parametrize("dialect", RENDERING, ids=lambda dialect: dialect.name)
def test_our_own_faults_tell_nothing(dialect: Dialect) -> None:
    answers = {bytes(dialect.render(web_errors.InternalError(), asked(f"{p}/x")).body) for p in dialect.prefixes}
    for answer in answers:
        assert not any(word in answer for word in (b"Traceback", b'File "', b"loadingdock.", b"sqlite", b"Exception"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic \x7f"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dTpw", "X-DEBUG": "1"},
        {"X-DEBUG": "yes", "Content-Type": "\x00", "Accept": "text/html"},
        {"Origin": "null", "traceparent": "00-0-0-0", "Cookie": "a"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_errors_are_rendered_whatever_the_request_says(dialect: Dialect, headers: dict[str, str]) -> None:
    for error in SAMPLES:
        assert body_of(dialect.render(error, asked(f"{dialect.prefixes[0]}/x", headers)))


# --- what a dialect says of itself -----------------------------------------------------------------


def test_the_five_are_there() -> None:
    names = {dialect.name for dialect in DIALECTS}
    assert {"conversation-files", "contact-load", "signed-url", "file-upload", "file-service", "management"} <= names


def test_no_two_dialects_want_one_name_or_prefix_or_setting() -> None:
    for wanted in (
        [dialect.name for dialect in DIALECTS],
        [prefix for dialect in DIALECTS for prefix in dialect.prefixes],
        [setting.key for dialect in DIALECTS for setting in (*dialect.settings,)]
        + [setting.key for setting in core_settings.CORE],
    ):
        assert len(wanted) == len(set(wanted))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_settings_have_the_names_of_their_dialect(dialect: Dialect) -> None:
    for setting in dialect.settings:
        assert setting.key.startswith(f"{dialect.name}.") or setting.key == f"retention.{dialect.name}"
        assert setting.meaning
        json.dumps(setting.default)  # as it is kept


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_is_documented_and_its_document_is_its_own(dialect: Dialect, service: Service) -> None:
    with service.client() as client:
        document = client.get(f"/docs/{dialect.name}/openapi.json").json()
        assert client.get(f"/docs/{dialect.name}").headers["content-type"].startswith("text/html")
        assert f"/docs/{dialect.name}" in client.get("/docs").text
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == dialect.title
    assert document["paths"]
    for path in document["paths"]:
        assert any(path == prefix or path.startswith(f"{prefix}/") for prefix in dialect.prefixes)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_is_not_there_is_answered_in_the_dialects_own_shape(dialect: Dialect, service: Service) -> None:
    with service.client() as client:
        for prefix in dialect.prefixes:
            path = f"{prefix}/no/such/path/at/all"
            answer = client.get(path)
            expected = dialect.render(core_errors.NotFound("path"), asked(path))
            assert answer.status_code == expected.status_code
            assert answer.headers["content-type"] == expected.headers["content-type"]
            assert _shape(answer.json()) == _shape(json.loads(bytes(expected.body)))


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_has_transcripts_of_success_and_of_failure(dialect: Dialect) -> None:
    package = inspect.getmodule(dialect.build)
    assert package is not None
    folder = package.__name__.split(".")[2]
    statuses = {
        exchange.status
        for path in transcripts()
        if path.parent.parent.name == folder
        for exchange in read(path).exchanges
    }
    assert any(200 <= status < 300 for status in statuses)
    assert {401, 500} <= statuses


# --- a sixth one ------------------------------------------------------------------------------------

SIXTH = {
    "__init__.py": '''
        """echo: says how many bytes came."""

        from fastapi import FastAPI
        from starlette.requests import Request
        from starlette.responses import JSONResponse, Response

        from loadingdock.core.errors import DockError
        from loadingdock.web.body import Body
        from loadingdock.web.dialect import Dialect, application
        from loadingdock.web.problems import status_of
        from loadingdock.web.services import Services


        def render(error: DockError, request: Request) -> Response:
            return JSONResponse({"oops": str(error)}, status_of(error))


        def build(services: Services) -> FastAPI:
            app = application(dialect, "Says how many bytes came.")

            async def count(request: Request) -> Response:
                return JSONResponse({"bytes": len(await Body(request, max_size=10).read(10))})

            app.add_api_route("/echo/v1/count", count, methods=["POST"])
            return app


        dialect = Dialect("echo", "Echo", "Says how many bytes came.", ("/echo/v1",), build, render)
    ''',
    "golden/count.http": """
        # Bytes are counted, up to ten.

        POST /echo/v1/count

        hello

        HTTP 200
        Content-Type: application/json

        {"bytes": 5}

        ### too many

        POST /echo/v1/count

        {{bytes 11}}

        HTTP 413

        {"oops": "Request body: at most 10 bytes allowed; 11 received."}

        ### what is not there

        GET /echo/v1/other

        HTTP 404

        {"oops": "There is no such path."}
    """,
}

# The program as it is, but for one more folder in which dialects are looked for.
WITH_FOLDER = """
import sys
import loadingdock.dialects
loadingdock.dialects.__path__.append(sys.argv.pop(1))
from loadingdock.cli import main
main()
"""


@pytest.fixture
def sixth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of dialects with one in it that the service does not know of."""
    folder = tmp_path / "more"
    for name, text in SIXTH.items():
        path = folder / "echo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    monkeypatch.setattr(loadingdock.dialects, "__path__", [*loadingdock.dialects.__path__, str(folder)])
    yield folder
    sys.modules.pop("loadingdock.dialects.echo", None)
    importlib.invalidate_caches()


@pytest.mark.slow
def test_a_sixth_dialect_is_one_folder(sixth: Path, make_service: Callable[..., Service]) -> None:
    assert [dialect.name for dialect in discover()] == sorted([*(d.name for d in DIALECTS), "echo"])
    (path,) = [path for path in transcripts() if path.is_relative_to(sixth)]
    echo = next(dialect for dialect in discover() if dialect.name == "echo")
    for error in SAMPLES:
        assert json.loads(bytes(echo.render(error, asked("/echo/v1/x")).body)) == {"oops": str(error)}

    service = make_service(program=(sys.executable, "-c", WITH_FOLDER, str(sixth))).start()
    Replay(read(path), lambda _: service).run()
    with service.client() as client:
        document = client.get("/docs/echo/openapi.json").json()
        assert list(document["paths"]) == ["/echo/v1/count"]
        assert document["paths"]["/echo/v1/count"]["post"]["responses"]["500"]["content"]["application/json"]
        assert "Echo" in client.get("/docs").text
