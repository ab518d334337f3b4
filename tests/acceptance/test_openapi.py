"""Every API's OpenAPI document against the running service: what the document says is what comes, and no request that
schemathesis can think of is too much for the service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadingdock.core.permissions import PERMISSIONS
from loadingdock.web.dialect import discover
from tests.acceptance.management import Office, office
from tests.service import Service

APIS = [dialect.name for dialect in discover()]

# All but what no schema can promise (that whatever it allows is accepted: cursors, names, keys used before) and what
# would have the service count failed credentials from this address.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
# A stream has no end that could be waited for; its own tests read it.
ENDLESS = {"management": ("/api/v1/events",)}


@pytest.fixture
def everyone(service: Service) -> Iterator[Office]:
    """A company of each test's own: what is sent here may revoke its keys."""
    with office(service, "admin") as opened:
        yield opened


@pytest.fixture
def credentials(everyone: Office) -> dict[str, str]:
    """A header that satisfies each of the shared security schemes, in one company."""
    desk, company = everyone.service.desk, everyone.company
    client = desk.oauth_client(company, *PERMISSIONS)
    return {
        "api-key": f"api-key: {desk.key(company, 'admin')}",
        "basic": f"Authorization: {desk.user(company, 'admin').header}",
        "bearer": f"Authorization: Bearer {desk.token(client)}",
    }


def document_of(service: Service, api: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{service.url}/docs/{api}/openapi.json").json()
    return found


def run(
    api: str,
    service: Service,
    credentials: dict[str, str],
    folder: Path,
    *options: str,
    config: Path | None = None,
) -> str:
    """What schemathesis says; fails the test with it if it found anything."""
    document = document_of(service, api)
    path = folder / f"{api}.json"
    path.write_text(json.dumps(document))
    schemes = document["components"]["securitySchemes"]
    header = next(credentials[name] for name in credentials if name in schemes)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", *(("--config-file", str(config)) if config else ())),
        *("run", str(path), "--url", service.url),
        *("--header", header, "--checks", ",".join(CHECKS), "--workers", "1", "--request-timeout", "20", "--no-color"),
        *("--warnings", "off", "--seed", "1", "--generation-database", ":memory:"),
        *(part for endless in ENDLESS.get(api, ()) for part in ("--exclude-path", endless)),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=folder)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("api", APIS)
def test_the_document_is_kept(api: str, service: Service, credentials: dict[str, str], tmp_path: Path) -> None:
    run(api, service, credentials, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3")


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("api", APIS)
def test_the_document_is_kept_at_length(
    api: str, service: Service, credentials: dict[str, str], tmp_path: Path
) -> None:
    run(api, service, credentials, tmp_path, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25")


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_the_document_is_kept_about_things_that_exist(
    everyone: Office, service: Service, credentials: dict[str, str], tmp_path: Path
) -> None:
    """Invented ids are unknown; with these the routes get to work."""
    file = everyone.upload()
    everyone.client.put(f"/files/{file['id']}/attachments/m1")
    everyone.client.post("/tables", json={"code": everyone.company.code, "columns": [{"name": "NAME"}]})
    body = {"table": everyone.company.code, "file": file["id"], "columns": ["NAME"]}
    number = everyone.client.post("/imports", json=body).raise_for_status().json()["logID"]
    service.desk.loaded(everyone.company)
    config = tmp_path / "known.toml"
    config.write_text(
        f'[parameters]\n"path.id" = "{file["id"]}"\n"path.reference" = "m1"\n"path.name" = "anna"\n'
        f'"path.code" = "{everyone.company.code}"\n"path.number" = {number}\n'
    )
    said = run("management", service, credentials, tmp_path, "--max-examples", "20", config=config)
    assert "passed" in said


def test_the_documents_say_where_and_how(service: Service) -> None:
    for api in APIS:
        document = document_of(service, api)
        assert document["openapi"].startswith("3.1"), api
        assert document["servers"] == [{"url": service.url}]
        for path, item in document["paths"].items():
            for method, operation in item.items():
                where = f"{api}: {method} {path}"
                assert operation["summary"], where
                schemes = {name for need in operation.get("security", []) for name in need}
                assert schemes <= document["components"]["securitySchemes"].keys(), where
                errors = {status for status in operation["responses"] if status >= "400"}
                assert {"400", "429", "500", "503"} <= errors, where
                assert "401" in errors or not schemes, where
                for status in errors - {"412", "416"} if method != "head" else ():
                    assert operation["responses"][status].get("content"), f"{where}: {status} has no body"
