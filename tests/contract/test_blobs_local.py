"""The contract of blob stores on a local folder, and what only a folder can get wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from loadingdock.adapters.blobs.local import LocalBlobs
from loadingdock.core.errors import NotFound, StorageFull, Unavailable
from loadingdock.testing.blobs import BlobStoreContract
from loadingdock.testing.blobs.material import MIB, OpenStore, get, keys, material, put, send, suspended

PLACE = "2026/01/02/0304"
KEY = f"{PLACE}/{'a' * 32}"


def opener(root: Path) -> OpenStore:
    @asynccontextmanager
    async def open_store() -> AsyncIterator[LocalBlobs]:
        store = LocalBlobs(root)
        try:
            yield store
        finally:
            await store.close()

    return open_store


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()} - {"probe"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestLocalBlobs(BlobStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        before = descriptors()
        yield opener(tmp_path / "root")
        assert files(tmp_path) <= {"root/probe"}
        assert descriptors() <= before


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    async with opener(tmp_path)() as store:
        assert isinstance(store, LocalBlobs)
        yield store


# --- the folder --------------------------------------------------------------


async def test_nobody_else_can_look_in(store: LocalBlobs, tmp_path: Path) -> None:
    ref = await put(store, b"bytes")
    key = await suspended(store, b"bytes")
    assert {mode(Path(folder)) for folder, _, _ in os.walk(tmp_path / "blobs")} == {0o700}
    assert mode(tmp_path / "staging") == 0o700
    path = store.local_path(ref.key)
    assert path is not None
    assert mode(path) == 0o400
    assert mode(tmp_path / "staging" / key.replace("/", "-")) == 0o600


async def test_blobs_of_one_minute_share_a_folder(store: LocalBlobs) -> None:
    folders = {(await put(store, b"")).key.rpartition("/")[0] for _ in range(10)}
    assert len(folders) <= 2


async def test_an_empty_folder_goes_with_its_last_blob(store: LocalBlobs, tmp_path: Path) -> None:
    folder = tmp_path / "blobs" / PLACE
    folder.mkdir(parents=True)
    (folder / ("a" * 32)).touch()
    (folder / ("b" * 32)).touch()
    await store.delete(KEY)
    assert folder.is_dir()
    await store.delete(f"{PLACE}/{'b' * 32}")
    assert list((tmp_path / "blobs").iterdir()) == []


async def test_a_folder_that_was_pruned_is_made_again(store: LocalBlobs, tmp_path: Path) -> None:
    async with store.writer() as writer:
        await put(store, b"")
        for path in sorted((tmp_path / "blobs").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        ref = await writer.commit()
    assert await store.head(ref.key) == 0


async def test_strange_files_are_passed_over(store: LocalBlobs, tmp_path: Path) -> None:
    place = tmp_path / "blobs" / PLACE
    place.mkdir(parents=True)
    for name in ("a" * 31, "A" * 32, "readme", "a" * 33):
        (place / name).touch()
    (place / ("b" * 32)).mkdir()
    (tmp_path / "blobs" / "lost+found").mkdir()
    (tmp_path / "staging" / "readme").touch()
    (place / ("a" * 32)).touch()
    assert await keys(store) == {KEY}


async def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to("disk")
    async with opener(tmp_path / "root")() as store:
        ref = await put(store, b"bytes")
        assert await get(store, ref.key) == b"bytes"


# --- planted links -----------------------------------------------------------


@pytest.mark.security(10)
@pytest.mark.parametrize("at", ["2026", "2026/01", "2026/01/02", PLACE, KEY])
async def test_a_planted_link_is_refused(store: LocalBlobs, tmp_path: Path, at: str) -> None:
    outside = tmp_path / "outside"
    rest = KEY[len(at) :].lstrip("/")
    secret = outside / rest if rest else outside
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_bytes(b"secret")
    link = tmp_path / "blobs" / at
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(NotFound):
        await get(store, KEY)
    assert await store.head(KEY) is None
    assert store.local_path(KEY) is None
    assert await keys(store) == set()
    await store.delete(KEY)
    assert secret.read_bytes() == b"secret"


@pytest.mark.security(10)
async def test_a_planted_link_is_not_resumed(store: LocalBlobs, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    (tmp_path / "staging" / KEY.replace("/", "-")).symlink_to(outside)
    with pytest.raises(NotFound):
        async with store.resume(KEY, 0) as writer:
            await writer.write([b"overwritten"])
    assert outside.read_bytes() == b"secret"


@pytest.mark.security(10)
async def test_a_planted_pipe_stops_nobody(store: LocalBlobs, tmp_path: Path) -> None:
    place = tmp_path / "blobs" / PLACE
    place.mkdir(parents=True)
    os.mkfifo(place / ("a" * 32))
    with pytest.raises(NotFound):
        await get(store, KEY)
    os.mkfifo(tmp_path / "staging" / KEY.replace("/", "-"))
    with pytest.raises(NotFound):
        async with store.resume(KEY, 0):
            pass


# --- the law -----------------------------------------------------------------


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What is asked of the disk, in order: (call, path)."""
    seen: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def watch_fsync(fd: int) -> None:
        seen.append(("fsync", os.readlink(f"/proc/self/fd/{fd}")))
        fsync(fd)

    def watch_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        seen.append(("rename", new))
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", watch_fsync)
        patch.setattr(os, "rename", watch_rename)
        yield seen


@pytest.mark.parametrize("size", [100, 3 * MIB])
async def test_file_then_name_then_folder(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    with watched(monkeypatch) as seen:
        ref = await put(store, material(size))
    folder, _, name = ref.key.rpartition("/")
    blob = ("fsync", f"{tmp_path}/staging/{ref.key.replace('/', '-')}")
    rename, place = ("rename", name), ("fsync", f"{tmp_path}/blobs/{folder}")
    assert [step for step in seen if step in (blob, rename, place)] == [blob, rename, place]


async def test_new_folders_are_durable_before_what_is_in_them(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with watched(monkeypatch) as seen:
        ref = await put(store, b"bytes")
    *parents, _ = ref.key.split("/")
    expected = [str(tmp_path / "blobs" / "/".join(parents[:depth])) for depth in range(4)]
    paths = [path for call, path in seen if call == "fsync"]
    assert [path for path in paths if path in expected] == [path.rstrip("/") for path in expected]
    assert paths.index(expected[-1]) < paths.index(str(tmp_path / "blobs" / "/".join(parents)))


async def test_a_suspended_blob_is_durable(store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with watched(monkeypatch) as seen:
        key = await suspended(store, b"bytes")
    staging = f"{tmp_path}/staging"
    assert seen == [("fsync", f"{staging}/{key.replace('/', '-')}"), ("fsync", staging)]


async def test_many_small_blobs_share_the_folder_fsync(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await put(store, b"")
    with watched(monkeypatch) as seen:
        refs = await asyncio.gather(*(put(store, b"%d" % number) for number in range(33)))
    folders = {ref.key.rpartition("/")[0] for ref in refs}
    synced = sum(path in {f"{tmp_path}/blobs/{folder}" for folder in folders} for call, path in seen)
    assert synced <= 4 * len(folders)


# --- a disk that fails -------------------------------------------------------


@pytest.mark.parametrize("size", [100, 3 * MIB])
@pytest.mark.parametrize("fails", [1, 2])
async def test_an_fsync_that_failed_is_not_tried_again(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, fails: int
) -> None:
    kept = await put(store, b"bytes")
    calls = 0

    def fsync(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= fails:
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(Unavailable):
            await put(store, material(size))
        assert calls == fails
    for _ in range(2):  # for good, although the disk does well again
        with pytest.raises(Unavailable):
            await store.ping()
        with pytest.raises(Unavailable):
            await put(store, b"more")
    assert await keys(store) == {kept.key}
    assert await get(store, kept.key) == b"bytes"


async def test_one_that_fails_fails_alone(store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    writev = os.writev
    poison = b"poison"

    def fail(fd: int, pieces: list[bytes]) -> int:
        if pieces[0] == poison:
            raise OSError(errno.ENOSPC, "No space left on device")
        return writev(fd, pieces)

    monkeypatch.setattr(os, "writev", fail)
    datas = [poison if number == 7 else b"%d" % number for number in range(20)]
    done = await asyncio.gather(*(put(store, data) for data in datas), return_exceptions=True)
    assert isinstance(done.pop(7), StorageFull)
    assert not [one for one in done if isinstance(one, BaseException)]
    assert len(await keys(store)) == 19
    assert len(files(tmp_path)) == 19


async def test_short_writes_go_on(store: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, pieces: writev(fd, [pieces[0][:1000], *pieces[1:1]]))
    data = material(50_000)
    async with store.writer() as writer:
        await writer.write([data[:20_000], b"", data[20_000:20_001], data[20_001:]])
        ref = await writer.commit()
    assert await get(store, ref.key) == data


FULL = """
import asyncio, sys
from pathlib import Path
from loadingdock.adapters.blobs.local import LocalBlobs
from loadingdock.core.errors import StorageFull
from loadingdock.testing.blobs.material import MIB, keys, material, put, get

async def main():
    store = LocalBlobs(Path(sys.argv[1]))
    kept = await put(store, material(MIB))
    before = await store.free_bytes()
    for length in (None, 32 * MIB):
        try:
            async with store.writer(length=length) as writer:
                for seed in range(32):
                    await writer.write([material(MIB, seed)])
                await writer.commit()
            raise SystemExit("it took more than there is room for")
        except StorageFull:
            pass
        assert await store.free_bytes() == before
    assert await keys(store) == {kept.key}
    assert await get(store, kept.key) == material(MIB)
    await put(store, material(MIB))
    await store.close()
    print("well")

asyncio.run(main())
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one, in a mount namespace of its own."""
    mount = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" -c "$3" "$1"'
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting in a namespace of one's own is not allowed here")
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", tmp_path, sys.executable, FULL],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "well\n"), run.stderr


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken = [os.dup(0)]
    while taken[-1] <= highest:
        taken.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


async def test_too_many_open_files(store: LocalBlobs) -> None:
    data = material(3 * MIB)
    ref = await put(store, data)
    before = descriptors()
    with no_descriptor_left():
        for _ in range(3):
            with pytest.raises(Unavailable):
                await put(store, data)
            with pytest.raises(Unavailable):
                await put(store, b"small")
            with pytest.raises(Unavailable):
                await get(store, ref.key)
    assert descriptors() == before
    assert await get(store, ref.key) == data
    assert await keys(store) == {ref.key}


# --- memory and order --------------------------------------------------------


async def test_slow_small_blobs_do_not_fill_the_memory(store: LocalBlobs, tmp_path: Path) -> None:
    """What waits in memory for its commit is bounded over all writers together; the rest goes to disk at once."""
    piece = material(MIB)
    async with asyncio.TaskGroup() as group:
        ready = asyncio.Event()
        writing = asyncio.Semaphore(0)

        async def one() -> None:
            async with store.writer() as writer:
                await writer.write([piece])
                writing.release()
                await ready.wait()
                await writer.commit()

        for _ in range(80):
            group.create_task(one())
        for _ in range(80):
            await writing.acquire()
        assert len(os.listdir(tmp_path / "staging")) >= 10
        ready.set()
    assert len(await keys(store)) == 80


async def test_many_slow_readers_are_given_small_pieces(store: LocalBlobs) -> None:
    """Those that wait to be taken are in memory."""
    ref = await put(store, material(5 * MIB))
    readers = [store.read(ref.key) for _ in range(600)]
    first, _, third = [[len(await anext(reader)) for reader in readers] for _ in range(3)]
    assert first[0] == MIB
    assert set(third) == {64 << 10}
    for reader in readers:
        await reader.aclose()
    assert [len(piece) async for piece in store.read(ref.key)] == [MIB] * 5


async def test_a_folder_that_another_process_made_again_is_found(tmp_path: Path) -> None:
    async with opener(tmp_path)() as one, opener(tmp_path)() as other:
        first = await put(one, b"first")
        async with other.writer() as writer:  # in the same minute, or there is nothing to show
            for path in sorted((tmp_path / "blobs").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            ref = await writer.commit()
        assert await one.head(first.key) is None
        assert await one.head(ref.key) == 0
        assert await get(one, ref.key) == b""


async def test_the_digests_state_survives_suspension(store: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload in many requests is not read again for each of them, nor at its end."""
    key = await suspended(store, material(MIB))
    monkeypatch.setattr(os, "pread", lambda *_: pytest.fail("the file was read"))
    async with store.resume(key, MIB) as writer:
        await send(writer, material(MIB, 1))
        assert await writer.suspend() == 2 * MIB
    async with store.resume(key, 2 * MIB) as writer:
        await writer.commit()


async def test_a_write_that_is_under_way_when_its_request_ends(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    writev = os.writev
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(fd: int, pieces: list[bytes]) -> int:
        loop.call_soon_threadsafe(entered.set)
        time.sleep(0.05)
        return writev(fd, pieces)

    monkeypatch.setattr(os, "writev", slow)
    task = asyncio.ensure_future(put(store, material(3 * MIB)))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == set()


async def test_a_commit_that_is_cancelled_while_it_runs_leaves_nothing(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fsync = os.fsync
    loop = asyncio.get_running_loop()
    for stop in ("staging", "blobs"):  # at the file's fsync, and at the folder's
        entered = asyncio.Event()

        def slow(fd: int, stop: str = stop, entered: asyncio.Event = entered) -> None:
            if f"/{stop}/" in os.readlink(f"/proc/self/fd/{fd}"):
                loop.call_soon_threadsafe(entered.set)
                time.sleep(0.05)
            fsync(fd)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", slow)
            task = asyncio.ensure_future(put(store, b"bytes"))
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert files(tmp_path) == set()
        key = await suspended(store, b"0123")

        async def commit(key: str = key) -> None:
            async with store.resume(key, 4) as writer:
                await writer.commit()

        entered.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", slow)
            resumed = asyncio.ensure_future(commit())
            await entered.wait()
            resumed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await resumed
        async with store.resume(key, 4) as writer:
            await writer.write([b"4"])
            await writer.commit()
        assert await get(store, key) == b"01234"
        await store.delete(key)
