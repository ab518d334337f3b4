"""contact-load as its clients use it: a real server, real curl, real files, and the tables they end up in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadingdock.core import contactspecs
from loadingdock.core.administration import operator
from loadingdock.core.contactvalues import Wanted
from loadingdock.core.loading import Counts
from loadingdock.core.model.companies import Company
from loadingdock.core.model.imports import Import, ImportState
from loadingdock.web.services import Services
from tests.acceptance.wires import connected, one_answer
from tests.curl import curl
from tests.desk import eventually
from tests.receiver import Receiver
from tests.service import Login, Service

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TABLE = "/api/contacts/rest/webdb/table"
COLUMNS = ("TEST_NAME", "TEST_LASTNAME", "TEST_PHONE", "TEST_EMAIL")
NAMES = ";".join(COLUMNS)
ROWS = [("Anna", "Berg, of Bonn", "+4930123456", "anna@example.com"), ("Bert", 'O"Hara', "", "bert@example.com")]
PUBLIC_KEYS = ["fields", "fileName", "idCompany", "includeHeaders", "separator", "status", "tableCode"]

# The source's own sample as its reference has it, with nothing changed but host, login, table and path.
SAMPLE = """\
curl -i -X POST \\
-u {login} \\
{host}/api/contacts/rest/webdb/table/{table} \\
-H 'Content-Type: multipart/form-data' \\
-H 'Accept: application/json' \\
-F 'delimiter="' \\
-F 'encodingType=UTF-8'  \\
-F 'includeHeaders=false'  \\
-F 'operationType=INSALL'  \\
-F 'separator=,'  \\
-F 'strict=true'  \\
-F 'fieldsCode="TEST_NAME;TEST_LASTNAME;TEST_PHONE;TEST_EMAIL"' \\
-F file=@{path}
"""
WITHOUT_NAMES = "".join(line for line in SAMPLE.splitlines(keepends=True) if "fieldsCode" not in line)


def written(rows: Sequence[Sequence[str]], *, separator: str = ",", header: Sequence[str] = ()) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows([header, *rows] if header else rows)
    return out.getvalue().encode()


@dataclass(frozen=True)
class Shop:
    """A company with one table, and somebody who may load into it."""

    service: Service
    company: Company
    login: Login
    client: httpx.Client
    table: str = "TestTableCode"

    @property
    def url(self) -> str:
        return f"{TABLE}/{self.table}"

    def post(self, content: bytes, name: str = "testFile.csv", **fields: str) -> httpx.Response:
        given = {"fieldsCode": NAMES, "delimiter": '"', **fields}
        sent = {field: value for field, value in given.items() if value != "-"}
        return self.client.post(self.url, data=sent, files={"file": (name, content)})

    def load(self, content: bytes, name: str = "testFile.csv", **fields: str) -> Import:
        """Sent, accepted and run to its end."""
        answer = self.post(content, name, **fields)
        assert answer.status_code == 200, answer.text
        return self.ended(answer.json()["logID"])

    def ended(self, number: int) -> Import:
        found: list[Import] = []

        def over() -> bool:
            found[:] = [self.ask(lambda services: services.imports.get(operator(self.company), number))]
            return found[0].ended

        eventually(over, within=60)
        return found[0]

    def rows(self) -> list[tuple[Any, ...]]:
        async def look(services: Services) -> list[tuple[Any, ...]]:
            who = operator(self.company)
            table = await services.contacts.table(who, self.table)
            page = await services.contacts.rows(who, table, Wanted(), limit=1000)
            return [contact.values for contact in page.items]

        found: list[tuple[Any, ...]] = self.ask(look)
        return found

    def ask(self, question: Any) -> Any:
        return self.service.desk.ask(question)


def open_shop(service: Service, client: httpx.Client, **settings: str) -> Shop:
    company = service.desk.company("shop", **settings)
    login = service.desk.user(company, "contacts:load")
    client.auth = login.pair
    columns = [contactspecs.column(f"{name}:text") for name in COLUMNS]
    shop = Shop(service, company, login, client)
    shop.ask(lambda services: services.contacts.create(operator(company), shop.table, columns, key=["TEST_EMAIL"]))
    return shop


@pytest.fixture
def shop(service: Service) -> Iterator[Shop]:
    with service.client() as client:
        yield open_shop(service, client)


@pytest.fixture(scope="module")
def idle_shop(service: Service) -> Iterator[Shop]:
    """Into it nothing ever comes."""
    with service.client() as client:
        yield open_shop(service, client)


# --- taken in ------------------------------------------------------------------------------------


def test_the_sample_of_the_source_works_verbatim(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "testFile.csv"
    path.write_bytes(written(ROWS))
    words = {"login": shlex.quote(shop.login.curl), "host": shop.service.url, "table": shop.table, "path": str(path)}

    done = subprocess.run(["sh", "-c", SAMPLE.format(**words)], capture_output=True, check=True, timeout=60)

    head, _, body = done.stdout.decode().rpartition("\r\n\r\n")
    assert " 200 " in head.splitlines()[0]
    answer = json.loads(body)
    assert list(answer) == [*PUBLIC_KEYS, "logID"]
    assert answer == {
        "fields": list(COLUMNS),
        "fileName": "testFile.csv",
        "idCompany": shop.company.code,
        "includeHeaders": False,
        "separator": ",",
        "status": True,
        "tableCode": "TestTableCode",
        "logID": answer["logID"],
    }
    ended = shop.ended(answer["logID"])
    assert (ended.state, ended.counts) == (ImportState.FINISHED, Counts(inserted=2))
    assert shop.rows() == [tuple(value or None for value in row) for row in ROWS]


def test_the_sample_without_names_is_told_what_it_lacks(shop: Shop, tmp_path: Path) -> None:
    """As copies of the source have it, the sample names no columns, and so does its file."""
    path = tmp_path / "testFile.csv"
    path.write_bytes(written(ROWS))
    words = {"login": shlex.quote(shop.login.curl), "host": shop.service.url, "table": shop.table, "path": str(path)}
    done = subprocess.run(["sh", "-c", WITHOUT_NAMES.format(**words)], capture_output=True, check=True, timeout=60)
    head, _, body = done.stdout.decode().rpartition("\r\n\r\n")
    assert " 400 " in head.splitlines()[0]
    assert json.loads(body)["error"]["field"] == "fieldsCode"
    assert shop.service.desk.files(shop.company) == ()


@pytest.mark.parametrize("name", ["all.csv", "all.csv.gz", "all.csv.zst", "all", "ALL.TXT"])
def test_files_are_compressed_as_their_names_say(shop: Shop, name: str) -> None:
    content = written(ROWS)
    if name.endswith("gz"):
        content = gzip.compress(content)
    elif name.endswith("zst"):
        content = zstd.compress(content)
    assert shop.load(content, name).counts == Counts(inserted=2)
    assert len(shop.rows()) == 2


def test_all_ways_to_say_what_the_file_is(shop: Shop) -> None:
    """The table's own key, a header, a separator of one's own, an encoding, what to do with existing ones."""
    shop.load(written(ROWS))
    changed = written([("bert@example.com", "Köln"), ("cleo@example.com", "Cleo")], separator="|")
    changed = b"test_email|Test_Name\r\n" + changed.decode().encode("cp1252")
    ended = shop.load(
        changed,
        fieldsCode="-",
        includeHeaders="true",
        separator="|",
        encodingType="windows-1252",
        operationType="UPDINS",
    )
    assert ended.counts == Counts(inserted=1, updated=1)
    assert {row[3]: row[0] for row in shop.rows()} == {
        "anna@example.com": "Anna",
        "bert@example.com": "Köln",
        "cleo@example.com": "Cleo",
    }
    assert {row[1] for row in shop.rows() if row[3] == "bert@example.com"} == {'O"Hara'}


def test_strict_changes_nothing_and_lenient_what_it_can(shop: Shop) -> None:
    content = written(ROWS) + b"only,three,values\r\n"
    strict = shop.load(content)
    assert (strict.state, shop.rows()) == (ImportState.REJECTED, [])
    dry = shop.load(content, strict="false", dryRun="true")
    assert (dry.counts, shop.rows()) == (Counts(inserted=2, rejected=1), [])
    lenient = shop.load(content, strict="false")
    assert (lenient.state, lenient.counts) == (ImportState.FINISHED_WITH_ERRORS, Counts(inserted=2, rejected=1))
    assert len(shop.rows()) == 2


def test_the_source_is_a_file_of_the_service(shop: Shop) -> None:
    number = shop.load(written(ROWS)).number
    (file,) = shop.service.desk.settled(shop.company)
    assert (file.api, file.name) == ("contact-load", "testFile.csv")
    assert shop.service.desk.read(shop.company, file) == written(ROWS)
    assert number > 0


def test_files_expire_after_a_month_or_as_the_company_says(service: Service) -> None:
    for settings, kept in (
        ({}, timedelta(days=30)),
        ({"retention__contact_load": "36h"}, timedelta(hours=36)),
        ({"retention__contact_load": "never"}, None),
    ):
        with service.client() as client:
            shop = open_shop(service, client, **settings)
            assert shop.post(written(ROWS)).status_code == 200
        (file,) = service.desk.files(shop.company)
        assert (file.expires_at and file.expires_at - file.created_at) == kept


@pytest.mark.slow
def test_the_end_is_called_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    service = Service(tmp_path_factory.mktemp("calling") / "data", {"callback_allow": "127.0.0.1/32"})
    try:
        service.start()
        with Receiver() as receiver, service.client() as client:
            shop = open_shop(service, client, contact_load__repository="LISTS")
            ended = shop.load(written(ROWS), callbackUrl=receiver.url("/done"))
            eventually(lambda: receiver.received)
            said = json.loads(receiver.received[0].body)
            table = shop.ask(lambda services: services.contacts.table(operator(shop.company), shop.table))
    finally:
        service.close()
    assert list(said)[:8] == [
        *("fileName", "fileSize", "logID", "result", "idCompany", "idWebDb", "lineCount", "movedFile")
    ]
    assert said["fileName"].startswith("s3://LISTS/")
    assert said["fileName"].endswith("/testFile.csv")
    assert (said["fileSize"], said["logID"], said["result"]) == (len(written(ROWS)), ended.number, "FINISHED")
    assert (said["idCompany"], said["idWebDb"], said["lineCount"]) == (shop.company.code, table.number, 2)
    assert said["movedFile"] == f"processed/Log{ended.number}-webdb{table.number}"


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.security(8)
@pytest.mark.security(25)
def test_who_may_not_is_refused_before_the_body(idle_shop: Shop, tmp_path: Path) -> None:
    """Whoever has no permission, no account or no such table is never asked for the file."""
    service, desk = idle_shop.service, idle_shop.service.desk
    reader = desk.user(idle_shop.company, "contacts:read", "files:upload", name="reader")
    path = tmp_path / "large.csv"
    path.write_bytes(b"a,b\n" * (2 << 20))
    sent = ("-H", "Expect: 100-continue", "-F", f"file=@{path}")
    for login in (reader.curl, f"nobody@{idle_shop.company.code}:wrong"):
        answer = curl("-u", login, *sent, service.url + idle_shop.url)
        assert (answer.interim, answer.status) == ((), 401)
        assert answer.headers["www-authenticate"].startswith('Basic realm="')
    answer = curl("-u", idle_shop.login.curl, *sent, f"{service.url}{TABLE}/nothing")
    assert (answer.interim, answer.status) == ((), 404)
    assert answer.json()["tableCode"] == "nothing"
    assert desk.files(idle_shop.company) == ()


def test_what_is_wrong_before_the_file_is_said_before_it(idle_shop: Shop) -> None:
    """The rest of the form never comes, and need not."""
    fields = '--b\r\nContent-Disposition: form-data; name="strict"\r\n\r\nperhaps\r\n'
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nAnna'
    head = (
        f"POST {idle_shop.url} HTTP/1.1\r\nHost: dock\r\nAuthorization: {idle_shop.login.header}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 50000000\r\n\r\n"
    )
    with connected(idle_shop.service) as connection:
        connection.sendall((head + fields + file).encode())
        status, body = one_answer(connection)
    assert status == 400
    assert b'"field":"strict"' in body


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"separator": ";;"}, "separator"),
        ({"delimiter": "''"}, "delimiter"),
        ({"includeHeaders": "1"}, "includeHeaders"),
        ({"encodingType": "klingon"}, "encodingType"),
        ({"encodingType": "base64"}, "encodingType"),
        ({"encodingType": ""}, "encodingType"),
        ({"operationType": "MERGE"}, "operationType"),
        ({"operationType": "UPALL", "keyField": "AGE"}, "keyField"),
        ({"operationType": "UPALL", "fieldsCode": "TEST_NAME"}, "keyField"),
        ({"operationType": "UPALL", "keyField": "TEST_NAME;TEST_NAME"}, "keyField"),
        ({"fieldsCode": "TEST_NAME;AGE"}, "fieldsCode"),
        ({"fieldsCode": "TEST_NAME;TEST_NAME"}, "fieldsCode"),
        ({"fieldsCode": 'x"); DROP TABLE contacts--'}, "fieldsCode"),
        ({"strict": "perhaps"}, "strict"),
        ({"dryRun": ""}, "dryRun"),
        ({"callback": "http://127.0.0.1/"}, "callback"),
        ({"callbackURL": "http://169.254.169.254/latest"}, "callback"),
        ({"notifyUrl": "not a url"}, "callback"),
    ],
)
def test_what_is_wrong_leaves_nothing(idle_shop: Shop, fields: dict[str, str], field: str) -> None:
    before = idle_shop.service.desk.orphans()
    answer = idle_shop.post(written(ROWS), **fields)
    body = answer.json()
    assert answer.status_code == 400, answer.text
    assert (list(body), list(body["error"])) == (["status", "tableCode", "error"], ["code", "message", "field"])
    assert (body["status"], body["tableCode"], body["error"]["field"]) == (False, idle_shop.table, field)
    assert idle_shop.service.desk.files(idle_shop.company) == ()
    idle_shop.service.until(lambda: idle_shop.service.desk.orphans() <= before)


@pytest.mark.parametrize(
    ("content", "name", "fields"),
    [
        (b"", "empty.csv", {"fieldsCode": "-", "includeHeaders": "true"}),
        (b"AGE,NAME\r\n", "header.csv", {"fieldsCode": "-", "includeHeaders": "true"}),
        (b"TEST_NAME,TEST_NAME\r\n", "header.csv", {"fieldsCode": "-", "includeHeaders": "true"}),
        (b"this is no gzip", "a.csv.gz", {}),
    ],
)
def test_a_file_that_cannot_be_what_it_should_is_refused(
    idle_shop: Shop, content: bytes, name: str, fields: dict[str, str]
) -> None:
    answer = idle_shop.post(content, name, **fields)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "file"), answer.text
    assert idle_shop.service.desk.files(idle_shop.company) == ()


@pytest.mark.security(1)
def test_a_body_over_the_cap_leaves_nothing(service: Service) -> None:
    before = service.desk.orphans()
    with service.client() as client:
        shop = open_shop(service, client, max_size="100kB")
        answer = shop.post(b"a,b,c,d\n" * 100_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert service.desk.files(shop.company) == ()
    service.until(lambda: service.desk.orphans() <= before)


@pytest.mark.security(9)
@pytest.mark.security(11)
@pytest.mark.parametrize("name", ["../../evil.csv", "..\\evil.csv", "a\x00.csv", "\u202evsc.exe", "a" * 256 + ".csv"])
def test_names_that_cannot_be_kept_are_refused(idle_shop: Shop, name: str) -> None:
    disposition = b'Content-Disposition: form-data; name="file"; filename="' + name.encode() + b'"'
    content = b"--b\r\n" + disposition + b"\r\n\r\nx\r\n--b--\r\n"
    answer = idle_shop.client.post(
        idle_shop.url, content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "file"), answer.text
    assert idle_shop.service.desk.files(idle_shop.company) == ()
