"""The companies, users, keys and clients that a test needs, made straight in the records, so that no test waits for a
command line to start; and what became of their files."""

from __future__ import annotations

import asyncio
import base64
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from loadingdock.adapters.passwords import Argon2Passwords
from loadingdock.bootstrap import System, system
from loadingdock.core.administration import Administration, NewClient, operator
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Contact, Value
from loadingdock.core.model.files import File, State
from loadingdock.core.model.imports import Import
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.settings import Settings
from loadingdock.web.services import Services

T = TypeVar("T")

PASSWORD = "correct-horse-battery"

_UNDER_WAY = frozenset({State.RECEIVED, State.PROCESSING})


def eventually(condition: Callable[[], object], *, within: float = 30.0) -> None:
    """Waits for what no event tells of: files that go away on disk."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@dataclass(frozen=True)
class Login:
    """Basic credentials: `auth=(login.name, login.password)`, `curl -u`, or the whole header value."""

    name: str
    password: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.name, self.password

    @property
    def curl(self) -> str:
        return f"{self.name}:{self.password}"

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(self.curl.encode()).decode()


class Desk:
    """The records of a service, opened beside it, whether it runs or not.

    It works on a thread and a loop of its own, so its methods are plain calls in plain and in async tests alike.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="desk", daemon=True)
        self._thread.start()
        self._lifetime = system(settings)
        self._system: System = self._run(self._lifetime.__aenter__())
        self.services: Services = self._system.services
        # A hash says how hard it was made, and so how hard its verification is: what tests log in with need not cost
        # 30 ms of a core here and again in the service.
        self._passwords = Argon2Passwords(memory_kib=8, passes=1)
        self._people = Administration(
            self._system.records,
            self._passwords,
            self.services.clock,
            self.services.administration.settings.values(),
            forget=self.services.access.forget,
        )

    def close(self) -> None:
        self._passwords.close()
        self._run(self._lifetime.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        future: Future[T] = asyncio.run_coroutine_threadsafe(awaited(), self._loop)
        return future.result(timeout=60)

    def ask(self, question: Callable[[Services], Awaitable[T]]) -> T:
        """Any question to the use cases: `desk.ask(lambda s: s.files.get(principal, id))`."""
        return self._run(question(self.services))

    # --- companies and people ---

    def company(self, code: str = "", **settings: str) -> Company:
        """A company whose code begins with `code` and is free. Settings as an operator writes them, `-` and `.` in
        their keys as `_` and `__`: rate_limit="5/minute", retention__conversation_files="1d"."""
        values = {key.replace("__", ".").replace("_", "-"): value for key, value in settings.items()}
        return self.company_with(code, values)

    def company_with(self, code: str, settings: Mapping[str, str]) -> Company:
        name = f"{code or 'company'}-{secrets.token_hex(3)}"

        async def add(services: Services) -> Company:
            company = await services.administration.add_company(name)
            return await services.administration.set_company(operator(company), settings) if settings else company

        return self.ask(add)

    def set(self, company: Company, settings: Mapping[str, str]) -> Company:
        return self.ask(lambda services: services.administration.set_company(operator(company), settings))

    def user(self, company: Company, *grants: str, name: str = "anna", password: str = PASSWORD) -> Login:
        self._run(self._people.add_user(operator(company), name, password, grants))
        return Login(f"{name}@{company.code}", password)

    def key(self, company: Company, *grants: str) -> str:
        """The secret."""
        made = self.ask(lambda services: services.administration.add_key(operator(company), "", grants))
        return made.secret

    def oauth_client(self, company: Company, *grants: str, others: Sequence[Company] = ()) -> NewClient:
        return self.ask(lambda services: services.administration.add_client(operator(company), grants, others=others))

    def token(self, client: NewClient, *, organization: str | None = None, scope: str | None = None) -> str:
        """An access token of the client, issued as the token endpoints issue theirs."""
        grant = self.ask(
            lambda services: services.access.grant(client.client.id, client.secret, organization, scope, address=None)
        )
        return grant.token

    def grant(self, company: Company, name: str, *grants: str) -> None:
        """Exactly these from now on."""
        self.ask(lambda services: services.administration.set_grants(operator(company), name, grants))

    def fill(self, company: Company, code: str, rows: Sequence[Sequence[Value]]) -> None:
        """Contacts in the order of the table's visible columns, numbered from 1 on."""

        async def put(services: Services) -> None:
            table = await services.contacts.table(operator(company), code)
            await self._system.contacts.put(table, [Contact(n, tuple(values)) for n, values in enumerate(rows, 1)])

        self.ask(put)

    # --- what became of files ---

    def file(self, company: Company, file_id: str) -> File:
        return self.ask(lambda services: services.files.get(operator(company), file_id, deleted=True))

    def by_alias(self, company: Company, alias: str) -> File:
        return self.ask(lambda services: services.files.by_alias(operator(company), alias))

    def expire_in(self, company: Company, alias: str, time: timedelta) -> None:
        file = self.by_alias(company, alias)
        self.ask(lambda services: services.files.extend(operator(company), file, services.clock.now() + time))

    def files(self, company: Company) -> tuple[File, ...]:
        page = self.ask(lambda services: services.files.list(operator(company), FileFilter(), limit=1000))
        return page.items

    def read(self, company: Company, file: File) -> bytes:
        """The latest version's bytes, through the use case that refuses what is not ready."""

        async def read(services: Services) -> bytes:
            content = await services.files.open(operator(company), file)
            return b"".join([piece async for piece in services.blobs.read(content.blob_key)])

        return self.ask(read)

    def orphans(self) -> frozenset[str]:
        """Keys of bytes, finished or under way, that no record points at."""

        async def look(services: Services) -> frozenset[str]:
            keys = [key async for key in services.blobs.list(before=services.clock.now() + timedelta(days=1))]

            async def known(unit: Unit) -> frozenset[str]:
                return await unit.housekeeping.known_blobs(keys)

            return frozenset(keys) - await services.records.read(None, known)

        return self.ask(look)

    def settled(self, company: Company, *, within: float = 60.0) -> tuple[File, ...]:
        """The company's files once every one that has bytes is ready, infected or rejected."""

        async def look(services: Services) -> tuple[File, ...] | None:
            page = await services.files.list(operator(company), FileFilter(), limit=1000)
            return None if any(file.state in _UNDER_WAY for file in page.items) else page.items

        return self._awaited(company, look, within)

    def imported(self, company: Company, number: int, *, within: float = 60.0) -> Import:
        """That import once it has ended."""

        async def look(services: Services) -> Import | None:
            found = await services.imports.get(operator(company), number)
            return found if found.ended else None

        return self._awaited(company, look, within)

    def loaded(self, company: Company, *, within: float = 60.0) -> None:
        """Until every import has ended and every file has been looked into."""

        async def look(services: Services) -> bool | None:
            page = await services.imports.list(operator(company), limit=1000)
            return all(each.ended for each in page.items) or None

        self._awaited(company, look, within)
        self.settled(company, within=within)

    def idle(self, *, within: float = 60.0) -> None:
        """Until no job waits or runs."""

        def busy() -> bool:
            waiting, running, _, _ = self.ask(lambda services: services.jobs.depth(services.clock.now()))
            return bool(waiting or running)

        eventually(lambda: not busy(), within=within)

    def until(self, company: Company, alias: str, state: State, *, within: float = 60.0) -> File:
        """The file of that alias once it is in that state."""

        async def look(services: Services) -> File | None:
            file = await services.files.by_alias(operator(company), alias)
            return file if file.state is state else None

        return self._awaited(company, look, within)

    def _awaited(self, company: Company, look: Callable[[Services], Awaitable[T | None]], within: float) -> T:
        """What `look` finds as soon as it finds something: asked again at each event of the company."""

        async def wait(services: Services) -> T:
            async with asyncio.timeout(within):
                while True:
                    last = await services.records.read(company.id, _last_event)
                    found = await look(services)
                    if found is not None:
                        return found
                    await services.records.watch(company.id, last, timedelta(seconds=5))

        return self.ask(wait)


async def _last_event(unit: Unit) -> int:
    return await unit.events.last()
