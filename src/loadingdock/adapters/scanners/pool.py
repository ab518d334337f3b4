"""One or several ClamAV daemons behind the Scanner port.

A scan goes to the daemon with the fewest under way. One that fails several times in a row is left alone for a while
(`circuit`), and the others take its work. A daemon's failure is never a verdict: the file is shown to one other daemon,
and is `scanner_down` if that fails too or if there is none.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from loadingdock.adapters.confined.pool import Limits as ChildLimits
from loadingdock.adapters.scanners import examination
from loadingdock.adapters.scanners.circuit import DEFAULT, Attempt, Circuit, Policy, State
from loadingdock.adapters.scanners.clamd import Clamd, NoAnswer
from loadingdock.adapters.scanners.inspection import Inspection, as_file
from loadingdock.adapters.scanners.limits import Limits
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.core.ports.examination import Examination
from loadingdock.core.ports.processing import Engine

_SOON = 2.0  # seconds; a daemon that is silent for longer does not hold up the word of those that answer
_AVOIDED = 15.0  # seconds after a ping without an answer, in which a daemon is given nothing that others can take


def addresses(setting: str) -> tuple[str, ...]:
    """What stands between the commas. Raises ValueError for a place left empty or one named twice."""
    found = tuple(address.strip() for address in setting.split(","))
    if not all(found):
        raise ValueError(f"{setting!r} has an empty place between its commas")
    if len(set(found)) < len(found):
        raise ValueError(f"{setting!r} names a clamd twice")
    return found


@dataclass(slots=True, eq=False)
class _Member:
    """A daemon: its scans under way, when it was last given one (a running number), its answer to the last ping, and
    until when it is avoided because there was none."""

    clamd: Clamd
    circuit: Circuit
    under_way: int = 0
    given: int = 0
    version: str = ""
    silent: str = "it was not asked yet"
    avoided: float = -math.inf


class ClamdScanner:
    """`addresses` are clamd://host:port or clamd:///path/to/socket; idle daemons are given scans in turn.

    clamd cannot be asked for its limits, so they are told: `max_stream` is its StreamMaxLength, `max_entry` its
    MaxFileSize and `unpacked` its MaxScanSize, in bytes, the same for all. Archives are opened here first, because
    clamd 1.4 calls clean what it passed over: a zip's entry that unpacks to more than MaxFileSize, a zip without its
    end, a method that it does not know. `timeout` in seconds is for what one daemon does with one file, and for what is
    done here before. Temporary files go to `folder`; None: the system's place.

    `took(address, seconds)` hears of every scan that a daemon gave a verdict on, `circuit(address, state)` of every
    change of a circuit and of its state at the beginning.
    """

    name = "ClamAV"
    antivirus = True

    def __init__(
        self,
        *addresses: str,
        max_stream: int = 100_000_000,
        max_entry: int = 100_000_000,
        timeout: float = 300.0,
        unpacked: int = 400_000_000,
        folder: Path | None = None,
        policy: Policy = DEFAULT,
        now: Callable[[], float] = time.monotonic,
        took: Callable[[str, float], None] = lambda address, seconds: None,
        circuit: Callable[[str, str], None] = lambda address, state: None,
    ) -> None:
        self._members = [
            _Member(Clamd(address, timeout=timeout), Circuit(policy, now=now, changed=partial(circuit, address)))
            for address in addresses
        ]
        for address in addresses:
            circuit(address, State.CLOSED)
        self._turns = itertools.count(1)
        self._now = now
        self._took = took
        self._largest = min(max_stream, max_entry)
        self._timeout = timeout
        self._folder = folder
        self._inspection = Inspection(
            archives=Limits(entry=max_entry, unpacked=unpacked),
            child=ChildLimits(file_size=max_entry, wall=timeout),
            children=1,
            folder=folder,
        )

    async def scan(self, body: AsyncIterator[bytes], size: int, path: Path | None = None) -> ScanResult:
        if size > self._largest:  # clamd calls clean what is over its MaxFileSize, unless AlertExceedsMax is set
            return ScanResult(Verdict.UNSCANNABLE, f"{size} bytes, but clamd takes {self._largest}")
        if not any(member.circuit.admits for member in self._members):
            return self._down({})  # before a byte is read
        try:
            async with AsyncExitStack() as opened:
                async with asyncio.timeout(self._timeout):
                    file = await opened.enter_async_context(as_file(body, size, path, self._folder))
                    inspected = await self._inspection.look(file, size)
                if inspected.verdict is Verdict.SCANNER_DOWN:
                    return inspected
                scanned = await self._by_one_or_another(file, size)
                # A file that cannot be opened whole may still have something that clamd finds, which is worse.
                return inspected if scanned.verdict is Verdict.CLEAN else scanned
        except TimeoutError:
            return ScanResult(Verdict.SCANNER_DOWN, f"not read and opened within {self._timeout:g} s")
        except Exception as error:  # the disk's, the store's: the port knows no exception, and clean would be a lie
            return ScanResult(Verdict.SCANNER_DOWN, f"{type(error).__name__}: {error}")

    async def ping(self) -> str:
        asked = [asyncio.create_task(self._ask(member)) for member in self._members]
        try:
            _, silent = await asyncio.wait(asked, timeout=_SOON)
            while silent and not any(member.version for member in self._members):
                _, silent = await asyncio.wait(silent, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        versions = dict.fromkeys(member.version for member in self._members if member.version)  # each once, in order
        if not versions:
            raise Unavailable("scanner", why=self._silence())
        return ", ".join(versions)

    def engines(self) -> tuple[Engine, ...]:
        return tuple(Engine(m.clamd.address, m.version, _reason(m)) for m in self._members)

    async def examine(self) -> Examination:
        """One after the other, so that the largest file is on its way once. Their circuits hear nothing of it."""
        up = [member.clamd for member in self._members if not member.silent]
        now = datetime.now(UTC)
        problems = [found for clamd in up for found in await examination.problems(clamd, self._largest, self._folder)]
        remarks = [found for clamd in up for found in await examination.remarks(clamd, now)]
        return Examination(self.name, tuple(problems), remarks=tuple(remarks))

    async def close(self) -> None:
        await self._inspection.close()

    async def _by_one_or_another(self, file: Path, size: int) -> ScanResult:
        failed: dict[_Member, str] = {}
        while len(failed) < 2:
            chosen = self._choose(failed)
            if chosen is None:
                break
            member, attempt = chosen
            result = await self._by(member, attempt, file, size)
            if result.verdict is not Verdict.SCANNER_DOWN:
                return result
            failed[member] = result.detail
        return self._down(failed)

    def _choose(self, failed: Mapping[_Member, str]) -> tuple[_Member, Attempt] | None:
        """None if no other lets anything through. After a failure a probe is the last choice. One that hangs is not
        given a file to find that out by its whole time-out, if a ping has just told."""
        able = [member for member in self._members if member not in failed and member.circuit.admits]
        now = self._now()
        able.sort(
            key=lambda m: (m.avoided > now, bool(failed) and m.circuit.state is not State.CLOSED, m.under_way, m.given)
        )
        for member in able:
            if attempt := member.circuit.admit():
                member.given = next(self._turns)
                return member, attempt
        return None

    async def _by(self, member: _Member, attempt: Attempt, file: Path, size: int) -> ScanResult:
        member.under_way += 1
        try:
            if attempt.probe:
                await member.clamd.version()  # so that no file waits for a scan's whole time-out at one that is gone
            started = time.perf_counter()
            result = await member.clamd.scan(file, size)
            if result.verdict is Verdict.SCANNER_DOWN:
                attempt.failed(result.detail)
            else:
                attempt.succeeded()
                self._took(member.clamd.address, time.perf_counter() - started)
            return result
        except NoAnswer as error:
            attempt.failed(str(error))
            return ScanResult(Verdict.SCANNER_DOWN, str(error))
        finally:
            member.under_way -= 1
            attempt.abandoned()  # if nothing was said of it: cancelled, or a file that cannot be read

    async def _ask(self, member: _Member) -> None:
        """Its version. Takes part in its circuit only as a probe: it may answer this and yet fail every scan."""
        member.version, member.silent = "", f"no answer within {_SOON:g} s"
        attempt = None if member.circuit.state is State.CLOSED else member.circuit.admit()
        try:
            member.version, member.silent = await member.clamd.version(), ""
        except NoAnswer as error:
            member.silent = str(error)
            if attempt:
                attempt.failed(str(error))
        else:
            if attempt:
                attempt.succeeded()
        finally:
            member.avoided = -math.inf if member.version else self._now() + _AVOIDED
            if attempt:
                attempt.abandoned()

    def _down(self, failed: Mapping[_Member, str]) -> ScanResult:
        """Says of each daemon why it gave no verdict."""
        reasons = []
        for member in self._members:
            if member in failed:
                reasons.append(f"{member.clamd.address}: {failed[member]}")
            elif not member.circuit.admits:
                reasons.append(f"{member.clamd.address}: {_resting(member)}: {member.circuit.why}")
        return ScanResult(Verdict.SCANNER_DOWN, "; ".join(reasons))

    def _silence(self) -> str:
        if len(self._members) == 1:
            return self._members[0].silent
        return "; ".join(f"{member.clamd.address}: {member.silent}" for member in self._members)


def _reason(member: _Member) -> str:
    """Why nothing is given to it, in words of ours."""
    if member.silent or member.circuit.state is State.CLOSED:
        return member.silent
    return f"its scans failed, {_resting(member)}"


def _resting(member: _Member) -> str:
    if member.circuit.state is State.HALF_OPEN:
        return "it is being probed"
    return f"not asked for {math.ceil(member.circuit.rest)} s more"
