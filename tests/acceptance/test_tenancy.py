"""Another company's ids are unknown ids, on every route there is.

The matrix is made from the routes of all OpenAPI documents. Whoever adds a route says here what a foreign id is for
it (`ADDRESSED`), or in which list a foreign thing could show up (`LISTS`), or that it takes no id at all (`WITHOUT`);
else the test of completeness fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.permissions import PERMISSIONS
from loadingdock.core.ports.records import Unit
from loadingdock.web.dialect import discover
from loadingdock.web.services import Services
from tests import samples
from tests.service import Service

pytestmark = pytest.mark.security(25)

MANAGEMENT = "/api/v1"
IMAGES = "/api_gateway/file-service/rewards"
UUID = "00000000-0000-4000-8000-000000000000"
HEX = "0" * 32


@dataclass
class Tenant:
    """A company with one of everything, and a client with every right in it; `ids` by what the matrix calls them."""

    company: Company
    client: httpx.Client
    ids: dict[str, str]


@dataclass(frozen=True)
class Route:
    """What goes into the path's parameters: ids of a tenant by their names in `Tenant.ids`, and what is unknown in
    their place; what else makes up a request that succeeds for the owner, and what the owner is answered."""

    ids: dict[str, str]
    unknown: dict[str, str]
    own: int = 200
    request: dict[str, Any] = field(default_factory=dict)

    def path(self, template: str, values: dict[str, str]) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], template)


def file(own: int = 200, **request: Any) -> Route:
    return Route({"id": "file"}, {"id": UUID}, own, request)


def attachment(own: int = 200) -> Route:
    return Route({"id": "file", "reference": "reference"}, {"id": UUID, "reference": "m1"}, own)


def image(own: int = 200, **request: Any) -> Route:
    return Route(
        {"namespace": "namespace", "filename": "image"}, {"namespace": "rewards", "filename": "no.png"}, own, request
    )


def document(own: int = 200) -> Route:
    return Route({"file_id": "document"}, {"file_id": UUID}, own)


def table(own: int = 200, **request: Any) -> Route:
    return Route({"code": "table"}, {"code": "nothing"}, own, request)


def load(id: str = "import", own: int = 200) -> Route:
    return Route({"number": id}, {"number": "999999999"}, own)


# In an order in which the owner's requests all find what they ask for.
ADDRESSED: dict[str, Route] = {
    f"GET {MANAGEMENT}/files/{{id}}": file(),
    f"GET {MANAGEMENT}/files/{{id}}/metadata": file(),
    f"GET {MANAGEMENT}/files/{{id}}/versions": file(),
    f"GET {MANAGEMENT}/files/{{id}}/content": file(),
    f"HEAD {MANAGEMENT}/files/{{id}}/content": file(),
    f"GET {MANAGEMENT}/files/{{id}}/text": file(),
    f"GET {MANAGEMENT}/files/{{id}}/attachments": file(),
    f"PUT {MANAGEMENT}/files/{{id}}/attachments/{{reference}}": attachment(),
    f"GET {MANAGEMENT}/files/{{id}}/attachments/{{reference}}/content": attachment(),
    f"DELETE {MANAGEMENT}/files/{{id}}/attachments/{{reference}}": attachment(204),
    f"PATCH {MANAGEMENT}/files/{{id}}": file(json={"name": "c.txt"}),
    f"POST {MANAGEMENT}/files/{{id}}/extend": file(json={"keep": True}),
    f"DELETE {MANAGEMENT}/files/{{id}}": file(204),
    f"GET {MANAGEMENT}/uploads/{{id}}": Route({"id": "upload"}, {"id": UUID}),
    f"DELETE {MANAGEMENT}/uploads/{{id}}": Route({"id": "upload"}, {"id": UUID}, 204),
    f"GET {MANAGEMENT}/companies/{{code}}": Route({"code": "company"}, {"code": "nobody"}),
    f"GET {MANAGEMENT}/users/{{name}}": Route({"name": "user"}, {"name": "nobody"}),
    f"PATCH {MANAGEMENT}/users/{{name}}": Route(
        {"name": "user"}, {"name": "nobody"}, 200, {"json": {"disabled": True}}
    ),
    f"GET {MANAGEMENT}/keys/{{id}}": Route({"id": "key"}, {"id": HEX}),
    f"DELETE {MANAGEMENT}/keys/{{id}}": Route({"id": "key"}, {"id": HEX}, 204),
    f"GET {MANAGEMENT}/clients/{{id}}": Route({"id": "client"}, {"id": HEX}),
    f"DELETE {MANAGEMENT}/clients/{{id}}": Route({"id": "client"}, {"id": HEX}, 204),
    f"GET {MANAGEMENT}/tables/{{code}}": table(),
    f"PATCH {MANAGEMENT}/tables/{{code}}": table(json={"name": "Other"}),
    f"GET {MANAGEMENT}/tables/{{code}}/rows": table(),
    f"GET {MANAGEMENT}/tables/{{code}}/export": table(),
    f"GET {MANAGEMENT}/tables/{{code}}/contact": table(params={"key": "anna"}),
    f"DELETE {MANAGEMENT}/tables/{{code}}/contact": table(204, params={"key": "anna"}),
    f"GET {MANAGEMENT}/imports/{{number}}": load(),
    f"GET {MANAGEMENT}/imports/{{number}}/rejects": load(),
    **{
        f"{method} {MANAGEMENT}/imports/{{number}}/{name}": load()
        for method in ("GET", "HEAD")
        for name in ("source", "rejects.csv", "report.ndjson", "left.ndjson")
    },
    f"POST {MANAGEMENT}/imports/{{number}}/cancel": load(own=409),  # it has ended
    f"POST {MANAGEMENT}/imports/{{number}}/undo": load("later_import", 202),
    f"POST {MANAGEMENT}/imports/{{number}}/replay": load(own=202),
    "POST /api/contacts/rest/webdb/table/{tableCode}": Route(
        {"tableCode": "table"},
        {"tableCode": "nothing"},
        request={"files": {"file": ("c.csv", b"bert")}, "data": {"fieldsCode": "NAME"}},
    ),
    f"POST {MANAGEMENT}/jobs/{{id}}/requeue": Route({"id": "job"}, {"id": HEX}, 204),
    f"GET {MANAGEMENT}/callbacks/{{id}}": Route({"id": "callback"}, {"id": UUID}),
    f"POST {MANAGEMENT}/callbacks/{{id}}/replay": Route({"id": "callback"}, {"id": UUID}, 202),
    "GET /v1/files/{file_id}/status": document(),
    "GET /v1/files/{file_id}": document(),
    "GET /v1/files/{file_id}/content": document(),
    "HEAD /v1/files/{file_id}/content": document(),
    "DELETE /v1/files/{file_id}": document(204),
    "GET /api_gateway/file-service/{namespace}/{filename}": image(),
    "GET /api_gateway/file-service/{namespace}/{filename}/content": image(),
    "HEAD /api_gateway/file-service/{namespace}/{filename}/content": image(),
    "GET /api_gateway/file-service/{namespace}/{filename}/versions": image(),
    "PUT /api_gateway/file-service/{namespace}/{filename}/acl": image(json={"acl": "PRIVATE"}),
    "DELETE /api_gateway/file-service/{namespace}/{filename}": image(),
}

# Lists, each asked in every way in which it could be asked for another company's things.
LISTS: dict[str, tuple[dict[str, str], ...]] = {
    f"GET {MANAGEMENT}/files": ({}, {"alias": "alias"}, {"sha256": "sha256"}, {"search": "name"}, {"owner": "owner"}),
    f"GET {MANAGEMENT}/companies": ({},),
    f"GET {MANAGEMENT}/users": ({},),
    f"GET {MANAGEMENT}/keys": ({},),
    f"GET {MANAGEMENT}/clients": ({},),
    f"GET {MANAGEMENT}/audit": ({}, {"subject": "file"}),
    f"GET {MANAGEMENT}/jobs": ({},),
    f"GET {MANAGEMENT}/tables": ({},),
    f"GET {MANAGEMENT}/imports": ({},),
    f"GET {MANAGEMENT}/callbacks": ({}, {"subject": "callback_subject"}),
    f"GET {MANAGEMENT}/callback-secrets": ({},),
    "GET /v1/files": ({},),
    "GET /api_gateway/file-service/{namespace}": ({},),
}

# Routes that make something new in the caller's own company, or read what no id names. Names are each company's own:
# there is a test of that below, and one of events in their own file.
WITHOUT = {
    f"POST {MANAGEMENT}/files",
    f"POST {MANAGEMENT}/uploads",
    f"POST {MANAGEMENT}/users",
    f"POST {MANAGEMENT}/keys",
    f"POST {MANAGEMENT}/clients",
    f"POST {MANAGEMENT}/tables",
    f"POST {MANAGEMENT}/imports",
    f"POST {MANAGEMENT}/callback-secrets",
    f"GET {MANAGEMENT}/events",
    "GET /v1/files/signed-url",
    "POST /v1/fileUpload",
    "POST /dana/conversation/http/rest/file/upload",
    "POST /api_gateway/file-service/{namespace}/{filename}",
    "POST /v3/oauth/token/generate",
}


@pytest.fixture(scope="module")
def tenants(service: Service) -> Iterator[tuple[Tenant, Tenant]]:
    """(the owner of the ids, the other one)"""
    with service.client() as one, service.client() as other:
        yield _tenant(service, one), _tenant(service, other)


def _tenant(service: Service, client: httpx.Client) -> Tenant:
    desk = service.desk
    company = desk.company("tenant")
    login = desk.user(company, *PERMISSIONS, name=f"anna-{company.code}")
    client.headers.update({"api-key": desk.key(company, *PERMISSIONS), "authorization": login.header, "user-id": "bob"})
    ids = {"company": company.code, "namespace": "rewards", "reference": f"m-{company.code}", "owner": "bob"}
    ids["user"] = f"user-{company.code}"
    desk.user(company, "files:read", name=ids["user"])
    text = f"of {company.code}\n".encode()
    sent = client.post(f"{MANAGEMENT}/files", files={"file": (f"{company.code}.txt", text)}).json()
    ids |= {"file": sent["id"], "sha256": sent["sha256"], "name": sent["name"]}
    alias = client.post("/dana/conversation/http/rest/file/upload", files={"file": ("s.txt", text)})
    ids["alias"] = alias.json()["fileID"]
    ids["upload"] = client.post(f"{MANAGEMENT}/uploads", json={"name": "later.txt"}).json()["upload"]["id"]
    made = client.post(f"{MANAGEMENT}/keys", json={"grants": ["files:read"]}).json()
    ids["key"] = made["key"]["id"]
    ids["client"] = client.post(f"{MANAGEMENT}/clients", json={"grants": ["files:read"]}).json()["client_id"]
    ids["table"] = f"table-{company.code}"
    columns = [{"name": "NAME"}, {"name": "AGE", "type": "integer"}]
    named = {"code": ids["table"], "columns": columns, "key": ["NAME"]}
    client.post(f"{MANAGEMENT}/tables", json=named).raise_for_status()
    desk.fill(company, ids["table"], [("anna", 0)])
    ids["job"] = desk.ask(lambda services: _dead_job(services, company.id))
    ids |= _imports(service, company, client, ids["table"])
    ids["callback_subject"] = f"about-{company.code}"
    ids["callback"] = desk.ask(lambda services: _callback(services, company, ids["callback_subject"]))
    ids["secret"] = client.post(f"{MANAGEMENT}/callback-secrets").json()["secret"]["id"]
    ids["image"] = f"{company.code}.png"
    client.post(f"{IMAGES}/{ids['image']}", content=samples.png(), headers={"content-type": "image/png"})
    promised = client.get("/v1/files/signed-url", params={"filename": "d.txt"}).json()
    httpx.put(promised["file_url"], content=text, headers={"content-type": "text/plain"}).raise_for_status()
    ids["document"] = promised["file_id"]
    desk.settled(company)
    client.put(f"{MANAGEMENT}/files/{ids['file']}/attachments/{ids['reference']}").raise_for_status()
    return Tenant(company, client, ids)


def _imports(service: Service, company: Company, client: httpx.Client, table: str) -> dict[str, str]:
    """One with files of each kind and a callback, undone but for what the later one has changed."""

    def load(*records: str) -> str:
        text = "".join(f"{record}\n" for record in records).encode()
        file = client.post(f"{MANAGEMENT}/files", files={"file": ("contacts.csv", text)}).json()["id"]
        body = {"table": table, "file": file, "columns": ["NAME", "AGE"], "operation": "UPDINS", "strict": False}
        number = str(client.post(f"{MANAGEMENT}/imports", json=body).raise_for_status().json()["logID"])
        service.desk.loaded(company)
        return number

    first, later = load("anna,1", "bert,x"), load("anna,2")
    client.post(f"{MANAGEMENT}/imports/{first}/undo").raise_for_status()
    service.desk.loaded(company)
    service.desk.ask(lambda services: _callback(services, company, f"import:{first}"))
    return {"import": first, "later_import": later}


async def _dead_job(services: Services, company_id: int) -> str:
    now = datetime.now(UTC)
    kind = f"of-no-kind-{company_id}"

    async def work(unit: Unit) -> None:
        await unit.jobs.enqueue(kind, "nothing", at=now)

    await services.records.write(company_id, work)
    [job] = await services.jobs.claim("test", lease=timedelta(minutes=1), limit=1, cap=99, now=now, kinds=[kind])
    await services.jobs.bury(job, error="it broke", now=now)
    return job.id


async def _callback(services: Services, company: Company, subject: str) -> str:
    """To where nothing is reached."""

    async def work(unit: Unit) -> str:
        callback = await services.callbacks.submit(unit, company, "http://127.0.0.1/", "test", b"{}", subject)
        return callback.id

    return await services.records.write(company.id, work)


def _routes(service: Service) -> set[str]:
    found = set()
    for dialect in discover():
        document = httpx.get(f"{service.url}/docs/{dialect.name}/openapi.json").json()
        for path, item in document["paths"].items():
            found |= {f"{method.upper()} {path}" for method in item}
    return found


def test_the_matrix_is_complete(service: Service) -> None:
    known = [*ADDRESSED, *LISTS, *WITHOUT]
    assert sorted(known) == sorted(set(known))
    assert _routes(service) == set(known)
    assert all(set(re.findall(r"\{(\w+)\}", name)) == set(route.ids) for name, route in ADDRESSED.items())


@pytest.mark.parametrize("name", ADDRESSED)
def test_a_foreign_id_is_an_unknown_id(name: str, tenants: tuple[Tenant, Tenant]) -> None:
    owner, other = tenants
    route = ADDRESSED[name]
    method, template = name.split(" ", 1)
    theirs = {parameter: owner.ids[id] for parameter, id in route.ids.items()}
    foreign = other.client.request(method, route.path(template, theirs), **route.request)
    unknown = other.client.request(method, route.path(template, route.unknown), **route.request)

    assert foreign.status_code == unknown.status_code == 404
    assert _masked(foreign, theirs) == _masked(unknown, route.unknown)


@pytest.mark.parametrize("name", LISTS)
def test_nothing_foreign_is_in_a_list(name: str, tenants: tuple[Tenant, Tenant]) -> None:
    owner, other = tenants
    method, template = name.split(" ", 1)
    path = template.replace("{namespace}", "rewards")
    for query in LISTS[name]:
        answer = other.client.request(method, path, params={key: owner.ids[id] for key, id in query.items()})
        assert answer.status_code == 200, answer.text
        for what in _SHOWN:
            assert owner.ids[what] not in answer.text, (what, query)


_SHOWN = (
    *("company", "user", "file", "alias", "upload", "key", "client", "job", "table", "callback", "secret"),
    *("image", "document"),
    "name",
)


def test_names_are_each_companys_own(tenants: tuple[Tenant, Tenant]) -> None:
    owner, other = tenants
    theirs = owner.client.get(f"{IMAGES}/{owner.ids['image']}").json()["file"]
    mine = other.client.post(
        f"{IMAGES}/{owner.ids['image']}", content=samples.png((9, 9)), headers={"content-type": "image/png"}
    ).json()["file"]
    assert mine["version"] == 1
    assert mine["file_handle"] != theirs["file_handle"]
    assert owner.client.get(f"{IMAGES}/{owner.ids['image']}").json()["file"] == theirs
    added = other.client.post(
        f"{MANAGEMENT}/users",
        json={"name": owner.ids["user"], "password": "correct-horse-battery", "grants": ["files:read"]},
    )
    assert added.status_code == 201
    other.client.delete(f"{IMAGES}/{owner.ids['image']}")
    other.client.patch(f"{MANAGEMENT}/users/{owner.ids['user']}", json={"disabled": True})
    assert owner.client.get(f"{IMAGES}/{owner.ids['image']}").json()["file"] == theirs
    assert owner.client.get(f"{MANAGEMENT}/users/{owner.ids['user']}").json()["disabled_at"] is None


def test_a_signed_link_opens_nothing_elsewhere(service: Service, tenants: tuple[Tenant, Tenant]) -> None:
    owner, other = tenants
    link = owner.client.get(f"{IMAGES}/{owner.ids['image']}").json()["secureFilePath"]
    number, foreign = str(owner.company.number), str(other.company.number)
    with service.client() as anybody:
        assert anybody.get(link).status_code == 200
        assert anybody.get(link.replace(f"/{number}/", f"/{foreign}/")).status_code == 403
        assert anybody.get(link.replace(number, foreign)).status_code == 403


def test_every_id_of_the_matrix_was_real(tenants: tuple[Tenant, Tenant]) -> None:
    """The same requests, sent by their owner, succeed: what the other one was refused was there all the time."""
    owner, _ = tenants
    for name, route in ADDRESSED.items():
        method, template = name.split(" ", 1)
        path = route.path(template, {parameter: owner.ids[id] for parameter, id in route.ids.items()})
        answer = owner.client.request(method, path, **route.request)
        assert answer.status_code == route.own, (name, answer.text)


def _masked(answer: httpx.Response, values: dict[str, str]) -> tuple[str, dict[str, str]]:
    """What the client sees, without the ids it sent and what differs with every request."""
    text = re.sub(r'"(trace_id|traceId|requestID)":"[^"]*"', "", answer.text)
    for value in values.values():
        text = text.replace(value, "{id}")
    return text, {key: value for key, value in answer.headers.items() if key not in _EACH_ITS_OWN}


_EACH_ITS_OWN = {"date", "content-length", "x-trace-id", "x-request-id"}
