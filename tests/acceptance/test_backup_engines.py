"""PostgreSQL and an S3 store, backed up and brought back by the very commands that the page for operators shows, while
files come and go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loadingdock.core.administration import operator
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File
from tests.acceptance.test_backup_load import all_there, carried_out, command, load
from tests.engines import absent
from tests.engines.postgres import Postgres, postgres
from tests.engines.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS, seaweedfs
from tests.faults.flows import Receipt
from tests.papers import COMMANDS, ROOT, Block, agree, read
from tests.service import Service

__all__ = ["postgres", "seaweedfs"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine("postgres"),
    pytest.mark.engine("s3"),
    pytest.mark.timeout(300),
]

# As the page calls them.
ROLE, DATABASE, RESTORED = "loadingdock", "loadingdock", "restored"
BUCKET, PREFIX, RESTORED_PREFIX = "files", "dock", "restored"

PAGE = read(ROOT / "docs" / "howto" / "back-up.md")
SETTINGS, BACKUP, RESTORE = (block for block in PAGE.blocks if block.language == COMMANDS and block.not_run)


class Reader:
    """Who types the page's commands. Addresses and keys become those of our engines, nothing else is changed."""

    def __init__(self, postgres: Postgres, store: SeaweedFS, folder: Path) -> None:
        self._engines = {
            "db.example.com:5432": f"127.0.0.1:{postgres.port}",
            "https://s3.example.com": store.endpoint,
            "ACCESS_KEY=AKEXAMPLE": f"ACCESS_KEY={ACCESS_KEY}",
            "SECRET_KEY=s3cret-enough": f"SECRET_KEY={SECRET_KEY}",
        }
        self._settings = store.settings
        self._database = f"postgresql://{ROLE}@127.0.0.1:{postgres.port}"
        self._folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        administrator = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "postgres"}
        self._environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", **administrator}

    def settings(self, database: str, prefix: str) -> dict[str, str]:
        """Of a service that stands on the page's engines."""
        return {
            **self._settings,
            "database_url": f"{self._database}/{database}",
            "store_url": f"s3://{BUCKET}/{prefix}",
        }

    def types(self, block: Block) -> subprocess.Popen[str]:
        """In the shell in which the settings were made, where the first command that fails is the last."""
        text = f"{SETTINGS.text}\n{block.text}"
        for example, real in self._engines.items():
            assert example in text
            text = text.replace(example, real)
        return subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail", "-c", text],
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def reader(postgres: Postgres, seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[Reader]:
    if shutil.which("rclone") is None:
        absent("s3", "apt-get install --no-install-recommends rclone")
    folder = tmp_path / "reader"
    folder.mkdir()
    postgres.ask(f"CREATE ROLE {ROLE} LOGIN")
    postgres.ask(f"CREATE DATABASE {DATABASE} OWNER {ROLE} TEMPLATE template0 ENCODING UTF8")
    with closing(seaweedfs.client()) as client:
        client.create_bucket(Bucket=BUCKET)
        yield Reader(postgres, seaweedfs, folder)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for item in page.get("Contents", ()):
                client.delete_object(Bucket=BUCKET, Key=item["Key"])
        client.delete_bucket(Bucket=BUCKET)
    for name in (DATABASE, RESTORED):
        postgres.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    postgres.ask(f"DROP ROLE {ROLE}")


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = running.communicate(timeout=120)
    return running.returncode, out, err


def delete(service: Service, company: Company, file: File) -> None:
    service.desk.ask(lambda services: services.files.delete(operator(company), file))


def test_what_came_before_and_meanwhile(reader: Reader, make_service: Callable[..., Service]) -> None:
    """Uploads go on, and files that were there before are deleted during all of the backup."""
    service = make_service(**reader.settings(DATABASE, PREFIX)).start()
    old: list[Receipt] = []
    with load(service, old, deletes=False) as came:
        service.until(lambda: came() >= 80)
    company = old[0].flow.company
    doomed = [receipt.file(service.desk) for receipt in old]
    ledger: list[Receipt] = []
    with load(service, ledger, deletes=False) as came:
        service.until(lambda: came() >= 8)
        acknowledged = list(ledger)
        backup = reader.types(BACKUP)
        while backup.poll() is None and doomed:
            delete(service, company, doomed.pop())
        assert ended(backup)[0] == 0, ended(backup)
        assert len(doomed) < len(old)
    service.stop()

    code, out, err = ended(reader.types(RESTORE))
    assert code == 0, out + err
    assert RESTORE.prints is not None
    assert agree(RESTORE.prints, out), out

    back = make_service(**reader.settings(RESTORED, RESTORED_PREFIX), public_url=service.url).start()
    carried_out(back, "fsck")
    back.desk.idle()
    all_there(back.desk, acknowledged)
    carried_out(back, "fsck")


def test_what_came_and_went_meanwhile(reader: Reader, make_service: Callable[..., Service]) -> None:
    """Files that live for a moment may be missing: each of them was deleted by its owner, and a repair says so."""
    service = make_service(**reader.settings(DATABASE, PREFIX)).start()
    ledger: list[Receipt] = []
    with load(service, ledger) as came:
        service.until(lambda: came() >= 8)
        acknowledged = list(ledger)
        code, out, err = ended(reader.types(BACKUP))
        assert code == 0, out + err
    service.stop()
    code, out, err = ended(reader.types(RESTORE))
    assert code in {0, 1}, out + err
    assert "Looked at" in out, out + err

    back = make_service(**reader.settings(RESTORED, RESTORED_PREFIX), public_url=service.url)
    kept = {receipt.file(service.desk).id for receipt in ledger}
    found = json.loads(command(back, "fsck").stdout)["problems"]
    assert {one["problem"] for one in found} <= {"missing"}
    assert not kept & {one["subject"] for one in found}
    carried_out(back, "fsck", "--repair")
    carried_out(back, "fsck")
    back.start()
    all_there(back.desk, acknowledged)
