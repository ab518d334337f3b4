"""What the doctor says of engines, each broken in the ways in which they break, and that no secret is in it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from loadingdock.core.settings import CORS_ORIGINS
from tests.acceptance.operator import Operator
from tests.acceptance.test_doctor import checks, failed
from tests.contract.test_ratelimits import started
from tests.engines.clamd import ENTRY, STREAM, Clamd, clamd
from tests.engines.postgres import Postgres, name_of, postgres
from tests.engines.seaweedfs import BUCKET, SeaweedFS, seaweedfs
from tests.service import Service

__all__ = ["clamd", "postgres", "seaweedfs"]
pytestmark = pytest.mark.slow

PASSWORD = "opensesame"


def doctor(data: Path, settings: Mapping[str, object], check: str) -> tuple[str, str, str]:
    """(grade, detail, advice) of that check."""
    said = Operator(data, **settings).types("doctor", "--json")
    assert PASSWORD not in said.out
    found = checks(said)[check]
    assert said.code == bool(failed(said))
    return found["grade"], found["detail"], found["advice"]


# --- PostgreSQL --------------------------------------------------------------


@pytest.fixture
def role(postgres: Postgres) -> Iterator[str]:
    """The URL of a database that belongs to another role than the one in it, which has a password."""
    hba = postgres.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("host all stranger 127.0.0.1/32 scram-sha-256\n" + before)
    postgres.ask(f"CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'")
    postgres.ask("SELECT pg_reload_conf()")
    url = postgres.database()
    yield url.replace("postgres@", f"stranger:{PASSWORD}@")
    postgres.drop(url)
    postgres.ask("DROP ROLE stranger")
    hba.write_text(before)
    postgres.ask("SELECT pg_reload_conf()")


@pytest.mark.engine("postgres")
def test_postgres(postgres: Postgres, role: str, tmp_path: Path) -> None:
    good = postgres.database()
    assert doctor(tmp_path, {"database_url": good}, "database")[0] == "ok"
    for url, detail in (
        (role, 'make it the owner: ALTER DATABASE "test'),
        (role.replace(PASSWORD, "guessed"), "password authentication failed"),
        (good + "_not", "does not exist"),
        (role.replace(f"@127.0.0.1:{postgres.port}", "@127.0.0.1:1"), "Connection refused"),
        (f"postgresql://dock:a/{PASSWORD}@db/dock", "percent-encoded"),
    ):
        found = doctor(tmp_path, {"database_url": url}, "database")
        assert found[0] == "fail"
        assert detail in found[1], url
        assert found[2] == "Look at the server, and at LOADINGDOCK_DATABASE_URL."
    postgres.ask(f"ALTER DATABASE {name_of(good)} SET default_transaction_read_only = on")
    assert "session is read-only" in doctor(tmp_path, {"database_url": good}, "database")[1]


# --- S3 ----------------------------------------------------------------------


@pytest.mark.engine("s3")
@pytest.mark.parametrize(
    ("change", "check", "grade", "said"),
    [
        ({}, "store URLs", "ok", "are served"),
        (
            {"store_url": "s3://nowhere/x"},
            "store",
            "fail",
            "there is no bucket nowhere; create it, or change store_url",
        ),
        ({"store_secret_key": PASSWORD}, "store", "fail", "check store_access_key and store_secret_key"),
        ({"store_endpoint": "http://127.0.0.1:1"}, "store", "fail", "check store_endpoint, the network and the store"),
        ({"store_public_endpoint": "http://127.0.0.1:1"}, "store URLs", "warn", "check store_public_endpoint"),
        (
            {"store_public_endpoint": "http://store.invalid", "store_uploads": "direct"},
            "store URLs",
            "fail",
            "the name store.invalid is not known here; correct store_public_endpoint",
        ),
        ({"store_secret_key": ""}, "settings", "fail", "an access key and its secret go together; set both or neither"),
        ({"store_ca": "/nowhere.pem"}, "settings", "fail", "store_ca: /nowhere.pem cannot be read as certificates"),
    ],
)
def test_s3(seaweedfs: SeaweedFS, tmp_path: Path, change: Mapping[str, str], check: str, grade: str, said: str) -> None:
    settings = {**seaweedfs.settings, "store_url": seaweedfs.fresh_url(), "store_retries": 0, **change}
    found = doctor(tmp_path, settings, check)
    assert found[0] == grade
    assert said in found[1]


def test_a_store_that_hangs_is_not_waited_for_as_an_upload_would(tmp_path: Path) -> None:
    """With the default settings: four attempts of 30 s each at the first request alone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"store_url": "s3://dock/x", "store_endpoint": endpoint}
        started = time.monotonic()
        found = doctor(tmp_path, {**settings, "store_access_key": "key", "store_secret_key": PASSWORD}, "store")
    assert found[0] == "fail"
    assert f"s3://dock/x at {endpoint}: no answer" in found[1]
    assert time.monotonic() - started < 60  # generous


@pytest.mark.engine("s3")
def test_pages_that_the_bucket_lets_in(seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    origin, other = "https://app.example.com", "https://other.example.com"
    settings = {**seaweedfs.settings, "store_url": seaweedfs.fresh_url(), "store_uploads": "direct"}
    operator = Operator(tmp_path, **settings)
    operator.gets("company", "add", "acme")
    operator.gets("company", "set", "acme", f"{CORS_ORIGINS.key}={origin},{other}")
    rules = [{"AllowedOrigins": [origin], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"]}]
    client = seaweedfs.client()
    client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": rules})
    try:
        grade, detail, advice = doctor(tmp_path, settings, "store URLs")
    finally:
        client.delete_bucket_cors(Bucket=BUCKET)
        client.close()
    assert (grade, advice.startswith("If such pages upload, give the bucket a CORS rule")) == ("warn", True)
    assert other in detail
    assert origin not in detail


# --- clamd and Redis ---------------------------------------------------------


@pytest.mark.engine("clamd")
@pytest.mark.parametrize(
    ("stream", "grade", "said"),
    [
        (ENTRY, "warn", "finds the EICAR test file; clamd://127.0.0.1"),  # it has no signatures of ClamAV's own
        (10 * STREAM, "fail", "raise StreamMaxLength in its clamd.conf"),
    ],
)
def test_clamd(clamd: Clamd, tmp_path: Path, stream: int, grade: str, said: str) -> None:
    settings = {"scanner_url": clamd.tcp, "scanner_max_stream": stream, "scanner_max_entry": stream}
    found = doctor(tmp_path, settings, "scanner")
    assert found[0] == grade
    assert said in found[1]


@pytest.mark.engine("redis")
def test_redis_down_is_told_by_doctor_and_readiness(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with started(tmp_path / "redis", "--requirepass", PASSWORD) as (socket, server):
        settings = {"rate_limit_url": f"redis+unix://:{PASSWORD}@{socket}"}
        assert doctor(tmp_path / "data", settings, "rate limits")[:2] == ("ok", f"Redis at {socket} counts")
        service = Service(tmp_path / "served" / "data", settings)
        try:
            with service.start().client() as anybody:
                assert f"Rate limits: Redis at {socket}." in service.log()
                assert PASSWORD not in service.log()
                assert anybody.get("/readyz").json()["checks"]["rate limiter"] == {"status": "up"}
                server.kill()
                server.wait()
                service.until(lambda: anybody.get("/readyz").status_code == 503)
                found = anybody.get("/readyz").json()["checks"]
        finally:
            service.close()
        assert found["rate limiter"]["reason"] == "no connection"
        assert {state["status"] for name, state in found.items() if name != "rate limiter"} == {"up"}
        assert doctor(tmp_path / "data", settings, "rate limits")[1] == f"Redis at {socket}: no connection"


@pytest.mark.parametrize("url", [f"redis://:pa/{PASSWORD}@redis:6379", f"http://:{PASSWORD}@redis"])
def test_a_rate_limit_url_that_cannot_be_used_is_not_repeated(tmp_path: Path, url: str) -> None:
    grade, detail, _ = doctor(tmp_path, {"rate_limit_url": url}, "settings")
    assert (grade, detail.startswith("The settings of the rate limiter cannot be used: ")) == ("fail", True)
    said = Operator(tmp_path, rate_limit_url=url).types("company", "list")
    assert said.code == 1
    assert PASSWORD not in said.err
