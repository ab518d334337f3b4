"""What every Scanner must do.

A test module subclasses `ScannerContract` and gives two fixtures beside it: `scanner`, whose engine is up, and
`lost_scanner`, whose engine cannot be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.core.ports.processing import Scanner
from loadingdock.testing import material

CLEAN = {
    "nothing": b"",
    "text": b"Nothing to see here.\n",
    "zip": material.zipped({"a.txt": b"hello", "b/c.txt": b"world"}),
    "nested zip": material.zipped({"inner.zip": material.zipped({"a.txt": b"hello"})}),
    "tar.gz": material.tar_gz({"a.txt": b"hello"}),
    "docx": material.docx("Hello"),
    "png": material.png(),
    "pdf": material.pdf(),
}
INFECTED = {
    "whole": material.eicar(),
    "at an offset": bytes(200_000) + material.eicar() + b"more",
    "zip": material.zipped({"eicar.com": material.eicar()}),
    "nested zip": material.zipped({"inner.zip": material.zipped({"eicar.com": material.eicar()})}),
    "tar.gz": material.tar_gz({"eicar.com": material.eicar()}),
    "docx": material.docx("Hello", besides={"word/embeddings/object1.bin": material.eicar()}),
}


async def body(data: bytes, piece: int = 65536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), piece):
        yield data[at : at + piece]


class OnceOnly:
    """A body that notes how often it is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.read = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.read += 1
        return body(self._data)

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


async def _breaking(data: bytes, error: Exception) -> AsyncIterator[bytes]:
    yield data
    raise error


class ScannerContract:
    """`max_size` is the most bytes that the scanner takes, None if it has no such limit."""

    max_size: int | None = None

    async def scan(self, scanner: Scanner, data: bytes, path: Path | None = None) -> ScanResult:
        return await scanner.scan(body(data), len(data), path)

    @pytest.mark.parametrize("name", CLEAN)
    async def test_clean(self, scanner: Scanner, name: str) -> None:
        assert (await self.scan(scanner, CLEAN[name])).verdict is Verdict.CLEAN

    @pytest.mark.security(17)
    @pytest.mark.parametrize("name", INFECTED)
    async def test_infected(self, scanner: Scanner, name: str) -> None:
        result = await self.scan(scanner, INFECTED[name])
        assert result.verdict is Verdict.INFECTED
        assert result.detail, "the detail names what was found"

    @pytest.mark.security(17)
    @pytest.mark.parametrize("piece", [1, 7, 67])
    async def test_infected_over_pieces(self, scanner: Scanner, piece: int) -> None:
        data = b"before " + material.eicar() + b" behind"
        assert (await scanner.scan(body(data, piece), len(data))).verdict is Verdict.INFECTED

    @pytest.mark.security(18)
    async def test_encrypted_is_unscannable(self, scanner: Scanner) -> None:
        result = await self.scan(scanner, material.encrypted_zip())
        assert result.verdict is Verdict.UNSCANNABLE
        assert result.detail, "the detail says why"

    @pytest.mark.security(18)
    async def test_too_deep_is_unscannable(self, scanner: Scanner) -> None:
        data = material.eicar()
        for _ in range(60):
            data = material.zipped({"inner": data})
        assert (await self.scan(scanner, data)).verdict is Verdict.UNSCANNABLE

    @pytest.mark.security(18)
    async def test_too_large_is_unscannable(self, scanner: Scanner) -> None:
        if self.max_size is None:
            pytest.skip("takes files of any size")
        data = bytes(self.max_size + 1)
        assert (await self.scan(scanner, data)).verdict is Verdict.UNSCANNABLE

    @pytest.mark.security(16)
    @pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil"])
    async def test_path_out_of_an_archive_is_unscannable(self, scanner: Scanner, name: str) -> None:
        assert (await self.scan(scanner, material.zipped({name: b"x"}))).verdict is Verdict.UNSCANNABLE

    async def test_by_path(self, scanner: Scanner, tmp_path: Path) -> None:
        for data, verdict in ((b"hello", Verdict.CLEAN), (material.eicar(), Verdict.INFECTED)):
            path = tmp_path / verdict.value
            path.write_bytes(data)
            once = OnceOnly(data)
            assert (await scanner.scan(once, len(data), path)).verdict is verdict
            assert once.read <= 1
            assert path.read_bytes() == data

    async def test_reads_a_body_at_most_once(self, scanner: Scanner) -> None:
        once = OnceOnly(INFECTED["zip"])
        assert (await scanner.scan(once, len(INFECTED["zip"]))).verdict is Verdict.INFECTED
        assert once.read == 1

    @pytest.mark.security(19)
    @pytest.mark.parametrize("difference", [-1, 1])
    async def test_a_body_of_another_size_is_not_clean(self, scanner: Scanner, difference: int) -> None:
        data = b"all of it, or none"
        assert (await scanner.scan(body(data), len(data) + difference)).verdict is Verdict.SCANNER_DOWN

    async def test_a_path_of_another_size_is_not_clean(self, scanner: Scanner, tmp_path: Path) -> None:
        path = tmp_path / "short"
        path.write_bytes(b"short")
        assert (await scanner.scan(body(b"shorter"), 7, path)).verdict is Verdict.SCANNER_DOWN

    @pytest.mark.parametrize("error", [Unavailable("store"), OSError("disk"), ValueError("anything")])
    async def test_a_failing_body_is_no_exception(self, scanner: Scanner, error: Exception) -> None:
        result = await scanner.scan(_breaking(b"half", error), 8)
        assert result.verdict is Verdict.SCANNER_DOWN

    async def test_a_missing_path_is_no_exception(self, scanner: Scanner, tmp_path: Path) -> None:
        result = await scanner.scan(body(b"x"), 1, tmp_path / "nothing here")
        assert result.verdict is Verdict.SCANNER_DOWN

    async def test_many_at_once_get_their_own_verdicts(self, scanner: Scanner) -> None:
        wanted = [Verdict.INFECTED if n % 3 == 0 else Verdict.CLEAN for n in range(24)]
        files = [material.eicar() if v is Verdict.INFECTED else b"clean %d" % n for n, v in enumerate(wanted)]
        results = await asyncio.gather(*(self.scan(scanner, data) for data in files))
        assert [result.verdict for result in results] == wanted

    async def test_survives_a_cancelled_scan(self, scanner: Scanner) -> None:
        reading = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                reading.set()
                await asyncio.sleep(0)

        task = asyncio.create_task(scanner.scan(endless(), 1 << 20))
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await self.scan(scanner, b"hello")).verdict is Verdict.CLEAN

    async def test_says_what_it_is(self, scanner: Scanner) -> None:
        assert scanner.name
        assert isinstance(scanner.antivirus, bool)
        assert await scanner.ping()

    @pytest.mark.security(18)
    async def test_what_cannot_be_reached_is_down(self, lost_scanner: Scanner) -> None:
        for data in (b"hello", material.eicar()):
            assert (await self.scan(lost_scanner, data)).verdict is Verdict.SCANNER_DOWN
        with pytest.raises(Unavailable) as raised:
            await lost_scanner.ping()
        assert raised.value.what == "scanner"
