"""Sweeps of a real server whose times are so short that they can be awaited."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from loadingdock.bootstrap import FILES
from loadingdock.core.model.files import State
from tests.acceptance.ways import MANAGEMENT, SIGNED_URL, WAYS, Dock
from tests.service import Service


def test_lives_that_the_apis_give(service: Service) -> None:
    dock = Dock(service)
    lives = {}
    for way in WAYS:
        assert way.send(dock, b"hello", f"{way.name}.txt").is_success
    with dock.client() as client:
        asked = {"filename": "unkept.txt", "persist": "false"}
        url = client.get(f"{SIGNED_URL}/signed-url", params=asked, headers=dock.end_user).json()["file_url"]
        assert client.put(url, content=b"hello").status_code == 200
    for file in dock.files():
        assert file.version.created_at >= file.created_at
        received = file.version.updated_at if file.name == "unkept.txt" else file.created_at
        lives[file.name] = file.expires_at and round((file.expires_at - received).total_seconds() / 3600)
    assert lives == {
        **{f"{way.name}.txt": None for way in WAYS},
        "conversation-files.txt": 7 * 24,
        "unkept.txt": 24,
    }


@pytest.mark.slow
def test_what_has_ended_is_swept(make_service: Callable[..., Service]) -> None:
    """A file past its time and an upload that never came; what is kept stays."""
    service = make_service(sweep_every="PT0.2S").start()
    dock = Dock(service, {"signed-url.expires-in": "1s"})
    for name in ("kept.txt", "ended.txt"):
        assert WAYS[5].send(dock, b"hello", name).is_success
    with dock.client() as client:
        promise = WAYS[3].sending(dock, client, "never.txt")
        ids = {file.name: file.id for file in dock.settled()}
        soon = service.desk.services.clock.now() + timedelta(seconds=0.5)
        body = {"expires_at": soon.isoformat()}
        answer = client.post(f"{MANAGEMENT}/files/{ids['ended.txt']}/extend", json=body, headers=dock.keyed)
        assert answer.status_code == 200, answer.text

        def states() -> dict[str, State]:
            return {file.name: file.state for file in dock.desk.files(dock.company)}

        expected = {"kept.txt": State.READY, "ended.txt": State.EXPIRED, "never.txt": State.EXPIRED}
        service.until(lambda: states() == expected)
        shown = client.get(f"{MANAGEMENT}/files/{ids['ended.txt']}", headers=dock.keyed).json()
        assert (shown["state"], shown["size"]) == ("expired", 5)
        content = client.get(f"{MANAGEMENT}/files/{ids['ended.txt']}/content", headers=dock.keyed)
        assert content.status_code == 410
        late = client.put(promise.target, content=b"hello")
        assert late.status_code == 403


@pytest.mark.slow
def test_bytes_without_a_record_go_after_the_grace(make_service: Callable[..., Service]) -> None:
    """Left by a life that ended between bytes and record; an upload that is under way looks just like it."""
    service = make_service(sweep_every="PT0.2S")
    folder = service.data / FILES / "blobs" / "2020" / "01" / "02" / "0304"
    folder.mkdir(parents=True)
    old, young = (folder / (digit * 32) for digit in "0f")
    for path, age in ((old, timedelta(hours=25)), (young, timedelta(hours=23))):
        path.write_bytes(b"lost")
        os.utime(path, (time.time() - age.total_seconds(),) * 2)
    service.start()
    dock = Dock(service)
    assert WAYS[5].send(dock, b"hello").is_success
    service.until(lambda: not old.exists())
    assert young.exists()
    (file,) = dock.settled()
    assert dock.desk.read(dock.company, file) == b"hello"
