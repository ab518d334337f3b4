"""Files that are infected or cannot be looked into, on every way in and every way out (SECURITY.md, lines 16 to 18)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from loadingdock.core.model.files import File, State
from tests import samples
from tests.acceptance.ways import EVERY_WAY, MANAGEMENT, WAYS, Dock, Way
from tests.service import Port, Service
from tests.unit import fake_clamd as fake

pytestmark = pytest.mark.slow  # every way in times every input: for CI

NOT_READ = {400, 403, 404, 409, 410}
VIRUS = {"eicar.com.txt": samples.eicar()}
INFECTED = samples.Files(
    {
        "whole.txt": samples.eicar,
        "virus.zip": lambda: samples.zip_file(VIRUS),
        "nested.zip": lambda: samples.nested_zip(samples.eicar(), 3),
        "virus.tar.gz": lambda: samples.tar_file(VIRUS, "gz"),
        "virus.7z": lambda: samples.seven_zip(VIRUS),
        "letter.docx": samples.infected_docx,
    }
)
UNSCANNABLE = samples.Files(
    {
        "encrypted.zip": lambda: samples.encrypted_zip({"secret": b"secret"}),
        "encrypted.7z": lambda: samples.seven_zip({"secret": b"secret"}, password="password"),
        "deep.zip": lambda: samples.nested_zip(b"hello", 20),
        "link.zip": samples.zip_with_link,
        "link.tar": samples.tar_with_link,
        "outside.zip": lambda: samples.zip_file({"../../evil": b"hello"}),
    }
)


def nobody_reads(dock: Dock, file: File) -> None:
    """No route, no link and no range shows a byte of it, and nothing can be hung onto it."""
    dock.publish(file)
    with dock.client() as client:
        attached = client.put(f"{MANAGEMENT}/files/{file.id}/attachments/letter", headers=dock.keyed)
        assert attached.status_code in NOT_READ, attached.text
        for request in dock.readings(file):
            for method, headers in (("GET", {}), ("GET", {"range": "bytes=0-9"}), ("HEAD", {})):
                answer = client.request(method, request.url, headers={**request.headers, **headers})
                if method == "HEAD" and answer.status_code == 405:
                    continue
                assert answer.status_code in NOT_READ, (method, request.url, answer.text)
                assert b"EICAR" not in answer.content
                assert "etag" not in answer.headers


@pytest.mark.security(17)
@EVERY_WAY
def test_an_infected_file_is_found_and_nobody_reads_it(service: Service, way: Way) -> None:
    dock = Dock(service)
    for name, content in INFECTED.items():
        answer = way.send(dock, content, name)
        assert answer.is_success, (name, answer.text)
    files = dock.settled()
    assert {file.name: file.state for file in files} == dict.fromkeys(INFECTED, State.INFECTED)
    assert not any(file.version.text_key for file in files)
    nobody_reads(dock, files[0])
    nobody_reads(dock, files[-1])


@pytest.mark.security(17)
@EVERY_WAY
def test_eicar_over_many_chunks_is_found(service: Service, way: Way) -> None:
    """Split so that no piece holds it, behind enough bytes for several batches."""
    dock = Dock(service)
    virus = samples.eicar()
    with dock.client() as client:
        sending = way.sending(dock, client, "split.zip")
        padding = samples.zip_file({"zeros": bytes(3 << 20)}, method=0)
        pieces = [sending.before, padding, *(virus[at : at + 7] for at in range(0, len(virus), 7)), sending.behind]
        answer = client.request(sending.method, sending.target, headers=sending.headers, content=iter(pieces))
    assert answer.is_success, answer.text
    (file,) = dock.settled()
    assert file.state is State.INFECTED


@pytest.mark.security(16)
@pytest.mark.security(18)
@EVERY_WAY
def test_what_cannot_be_looked_into_is_rejected(service: Service, way: Way) -> None:
    dock = Dock(service)
    for name, content in UNSCANNABLE.items():
        answer = way.send(dock, content, name)
        assert answer.is_success, (name, answer.text)
    files = dock.settled()
    assert {file.name: file.state for file in files} == dict.fromkeys(UNSCANNABLE, State.REJECTED)
    nobody_reads(dock, files[0])


@pytest.mark.slow
@pytest.mark.security(16)
def test_a_bomb_is_rejected(service: Service) -> None:
    dock = Dock(service)
    assert WAYS[0].send(dock, samples.zip_bomb(), "bomb.zip").is_success
    assert [file.state for file in dock.settled()] == [State.REJECTED]


@pytest.mark.security(16)
def test_an_image_of_too_many_pixels_is_rejected(service: Service) -> None:
    dock = Dock(service, {"max-pixels": "10000"})
    for way in WAYS[:2]:
        assert way.send(dock, samples.png((101, 100)), f"{way.name}.png").is_success
    assert {file.state for file in dock.settled()} == {State.REJECTED}


@pytest.mark.security(18)
def test_accepting_the_unscannable_is_the_companys_own_choice(service: Service) -> None:
    dock = Dock(service, {"unscannable": "accept"})
    WAYS[0].send(dock, UNSCANNABLE["encrypted.zip"], "encrypted.zip")
    WAYS[6].send(dock, INFECTED["virus.zip"], "virus.zip")
    states = {file.name: file.state for file in dock.settled()}
    assert states == {"encrypted.zip": State.READY, "virus.zip": State.INFECTED}


# --- without a scanner ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.security(18)
async def test_a_scanner_that_is_down_delays_and_nothing_more(make_service: Callable[..., Service]) -> None:
    """It comes back at its address: everything that came meanwhile is taken up, and nothing was readable till then."""
    port = Port()
    service = make_service(scanner_url=f"clamd://127.0.0.1:{port.number}").start_unready()
    dock = Dock(service)
    for way in WAYS:
        content = samples.eicar() if way.name.startswith("management") else b"hello"
        assert way.send(dock, content, f"{way.name}.txt").is_success
    waiting = dock.files()
    assert len(waiting) == len(WAYS)
    assert {file.state for file in waiting} <= {State.RECEIVED, State.PROCESSING}
    for file in waiting:
        nobody_reads(dock, file)
    async with fake.fake_clamd(fake.finding(samples.eicar()), port.number):
        settled = await asyncio.to_thread(dock.settled)
        await asyncio.to_thread(service.wait_ready)
    port.close()
    infected = {file.name for file in settled if file.state is State.INFECTED}
    assert infected == {"management form.txt", "management body.txt"}
    assert {file.state for file in settled if file.name not in infected} == {State.READY}
