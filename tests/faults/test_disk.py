"""A disk that fails, a disk that is full, a process that may open no more files."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.desk import eventually
from tests.engines import absent
from tests.engines.seaweedfs import BUCKET, SeaweedFS
from tests.faults.check import fsck, once, verify
from tests.faults.flows import ConversationFiles, Receipt, flows
from tests.faults.load import BACK_WITHIN, Load
from tests.faults.strace import strace
from tests.service import Service

UPLOAD = "/dana/conversation/http/rest/file/upload"


@pytest.mark.slow
def test_a_failed_fsync_is_never_acknowledged_nor_tried_again(own_service: Service, tmp_path: Path) -> None:
    company = own_service.desk.company("eio")
    login = own_service.desk.user(company, "files:upload")
    with own_service.client(auth=login.pair) as client:
        assert client.post(UPLOAD, files={"file": ("a.txt", b"before")}).status_code == 200
        with strace(own_service.pid, tmp_path / "trace", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"):
            assert client.post(UPLOAD, files={"file": ("a.txt", b"during")}).status_code == 503
        # The disk is well again, but what the kernel dropped meanwhile nobody knows: only a restart makes it ready.
        assert client.post(UPLOAD, files={"file": ("a.txt", b"after")}).status_code == 503
        own_service.until(lambda: client.get("/readyz").status_code == 503)  # what it found is told for a moment
        assert client.get("/readyz").json()["checks"]["store"]["status"] == "down"
    own_service.restart()
    with own_service.client(auth=login.pair) as client:
        assert client.post(UPLOAD, files={"file": ("a.txt", b"again")}).status_code == 200
    names = sorted(own_service.desk.read(company, file) for file in own_service.desk.settled(company))
    assert names == [b"again", b"before"]
    own_service.stop()
    fsck(own_service.environment)


class SmallDisk:
    """So many megabytes that are all there is, until it is `grown`."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount(f"size={megabytes}m")

    def grow(self, megabytes: int) -> None:
        self._mount(f"remount,size={megabytes}m")

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _mount(self, options: str) -> None:
        if os.geteuid() != 0:
            absent("tmpfs", "only root can mount one")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        if subprocess.run(command, check=False).returncode:
            absent("tmpfs", "it cannot be mounted here")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "small", 64)
    try:
        yield disk
    finally:
        disk.close()


@pytest.mark.slow
def test_a_full_disk_refuses_keeps_and_recovers(small_disk: SmallDisk) -> None:
    service = Service(small_disk.folder / "data")
    try:
        service.start()
        company = service.desk.company("full")
        key = service.desk.key(company, "files:read", "files:write")
        login = service.desk.user(company, "files:upload")
        with service.client() as client:
            kept = []
            body = os.urandom(4 << 20)
            for _ in range(32):
                answer = client.post(UPLOAD, files={"file": ("a.bin", body)}, auth=login.pair)
                if answer.status_code != 200:
                    break
                kept.append(answer.json()["fileID"])
            assert answer.status_code == 507, answer.text
            assert kept
            files = {file.alias: file for file in service.desk.settled(company)}
            assert set(files) == set(kept)
            headers = {"api-key": key}
            for alias in kept:
                content = client.get(f"/api/v1/files/{files[alias].id}/content", headers=headers)
                assert content.content == body
            for alias in kept[:3]:
                assert client.delete(f"/api/v1/files/{files[alias].id}", headers=headers).status_code == 204
            service.until(
                lambda: client.post(UPLOAD, files={"file": ("b.bin", body)}, auth=login.pair).status_code == 200,
                within=BACK_WITHIN,
            )
        service.desk.idle()
        service.stop()
        fsck(service.environment)
    finally:
        service.close()


def writable(client: Any) -> bool:
    """On many of the server's volumes: each of them learns for itself, and once a minute, that there is room again."""
    try:
        for number in range(20):
            client.put_object(Bucket=BUCKET, Key=f"room/{number}", Body=b"small: what is tried in vain takes room, too")
    except ClientError:
        return False
    return True


class Large(ConversationFiles):
    user = "bertha"

    def body(self) -> bytes:
        return secrets.token_hex(2 << 20).encode()


@pytest.mark.slow
@pytest.mark.engine("s3")
@pytest.mark.timeout(600)
def test_a_full_disk_under_the_store_refuses_keeps_and_recovers(
    small_disk: SmallDisk, make_service: Callable[..., Service], tmp_path: Path
) -> None:
    """That of its volumes. The names of objects lie on another one, as they should: their database (LevelDB) writes
    nothing more after the first write that failed, until SeaweedFS is restarted."""
    small_disk.grow(128)
    server = SeaweedFS(tmp_path, volumes=small_disk.folder)
    try:
        server.start()
        service = make_service(store_url=server.fresh_url(), store_retries=1, **server.settings).start()
        company = service.desk.company("full")
        large = Large(service.desk, company)
        senders = [large, large, large, large, *flows(service.desk, company)]

        async def stored() -> list[Receipt]:
            async with service.async_client() as client:
                return [await sender.send(client) for sender in flows(service.desk, service.desk.company("old"))]

        old = asyncio.run(stored())
        verify(service.desk, old)

        async def until_full_and_back() -> Load:
            async with Load(senders, service.async_client, pause=0.5) as load:
                await load.goes_on()
                await load.is_refused(20)
                await asyncio.to_thread(verify, service.desk, old)
                small_disk.grow(1024)
                refused = load.refused
                with closing(server.client(retries={"max_attempts": 1})) as client:
                    await asyncio.to_thread(eventually, partial(writable, client), within=120)
                print(f"went on after {await load.goes_on():.1f} s;", end=" ")
            print(len(load.ledger), "acknowledged,", refused, f"refused, the longest after {load.longest:.1f} s")
            return load

        load = asyncio.run(until_full_and_back())
        assert not load.broken
        verify(service.desk, load.ledger, within=BACK_WITHIN)
        once(service.desk, company)
        service.stop()
        fsck(service.environment)
    finally:
        server.kill()


@pytest.mark.slow
def test_too_many_open_files_is_unavailable_and_passes(make_service: Callable[..., Service]) -> None:
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        absent("prlimit", "apt-get install util-linux")
    service = make_service(wrapper=(prlimit, "--nofile=64")).start()
    company = service.desk.company("nofile")
    login = service.desk.user(company, "files:upload")
    body = os.urandom(3 << 20)
    with service.client(auth=login.pair) as client:
        assert client.post(UPLOAD, files={"file": ("a.bin", body)}).status_code == 200

    async def flood() -> list[int]:
        async with service.async_client(auth=login.pair) as client:

            async def one() -> int:
                try:
                    return (await client.post(UPLOAD, files={"file": ("a.bin", body)})).status_code
                except httpx.TransportError:
                    return 0  # not even the connection was taken

            return await asyncio.gather(*(one() for _ in range(80)))

    asyncio.run(flood())  # children and readers that load brings stay
    service.desk.idle()
    base = _open_files(service)
    statuses = set(asyncio.run(flood()))
    assert statuses <= {0, 200, 503}, statuses
    service.until(lambda: _open_files(service) <= base + _CHILD)
    with service.client(auth=login.pair) as client:
        assert client.post(UPLOAD, files={"file": ("a.bin", body)}).status_code == 200
    service.desk.idle()
    service.stop()
    fsck(service.environment)


_CHILD = 3  # the pipes of one more of them; what a failed upload left open would be dozens


def _open_files(service: Service) -> int:
    return len(list(Path(f"/proc/{service.pid}/fd").iterdir()))
