"""The embedded scanner: YARA-X rules over the file and everything packed in it. No antivirus, and it says so."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from loadingdock.adapters.confined.pool import ChildUnavailable
from loadingdock.adapters.confined.pool import Limits as ChildLimits
from loadingdock.adapters.scanners.inspection import Incomplete, Inspection, as_file
from loadingdock.adapters.scanners.limits import Limits
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.core.ports.examination import Examination
from loadingdock.core.ports.processing import Engine

SHIPPED_RULES = Path(__file__).parent / "rules"
DEFAULT_LIMITS = Limits()


class LocalScanner:
    """`rules` is an operator's folder of .yar files, which are used besides those shipped; changes are seen when a
    child is replaced. `folder` is where temporary files go; None: the system's place. `took("local", seconds)` hears
    of every verdict.

    The rules see plain bytes: files, archive entries, not what PDF, e-mail or old Office documents encode in
    themselves.
    """

    name = "local rules"
    antivirus = False

    def __init__(
        self,
        rules: Path | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        memory: int = 512 << 20,
        cpu: int = 120,
        timeout: float = 300.0,
        children: int = 2,
        folder: Path | None = None,
        took: Callable[[str, float], None] = lambda address, seconds: None,
    ) -> None:
        folders = [SHIPPED_RULES] if rules is None else [SHIPPED_RULES, rules]
        child = ChildLimits(memory=memory, cpu=cpu, wall=timeout, file_size=limits.entry)
        self._folder = folder
        self._took = took
        self._inspection = Inspection(*folders, archives=limits, child=child, children=children, folder=folder)

    async def scan(self, body: AsyncIterator[bytes], size: int, path: Path | None = None) -> ScanResult:
        try:
            async with as_file(body, size, path, self._folder) as file:
                started = time.perf_counter()
                result = await self._inspection.look(file, size)
        except Incomplete as error:
            return ScanResult(Verdict.SCANNER_DOWN, str(error))
        except Exception as error:  # the store's, the disk's: the port knows no exception, and clean would be a lie
            return ScanResult(Verdict.SCANNER_DOWN, f"{type(error).__name__}: {error}")
        if result.verdict is not Verdict.SCANNER_DOWN:
            self._took("local", time.perf_counter() - started)
        return result

    async def ping(self) -> str:
        try:
            return await self._inspection.version()
        except ChildUnavailable as error:
            raise Unavailable("scanner") from error

    def engines(self) -> tuple[Engine, ...]:
        return ()

    async def examine(self) -> Examination:
        return Examination(self.name)

    async def close(self) -> None:
        await self._inspection.close()
