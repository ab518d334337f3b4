"""What every wire is given: the use cases, and what HTTP needs around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from loadingdock.core.access import Access
from loadingdock.core.administration import Administration
from loadingdock.core.appending import Appending
from loadingdock.core.arrivals import Notices
from loadingdock.core.callbacks import Callbacks
from loadingdock.core.contacts import Contacts
from loadingdock.core.files import Files
from loadingdock.core.imports import Imports
from loadingdock.core.links import Links
from loadingdock.core.model.companies import CompanySetting
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.identity import Tokens
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.ports.processing import Scanner, TypeDetector
from loadingdock.core.ports.ratelimits import RateLimiter
from loadingdock.core.ports.records import Records
from loadingdock.core.promises import Promises
from loadingdock.core.uploads import Uploads
from loadingdock.web.body import Pace


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How long a request may take to arrive, and how slowly."""

    max_body: int
    deadline: timedelta
    min_rate: int

    @property
    def pace(self) -> Pace:
        return Pace(rate=self.min_rate, deadline=self.deadline.total_seconds())


@dataclass(frozen=True, slots=True)
class Services:
    access: Access
    administration: Administration
    uploads: Uploads
    promises: Promises
    appending: Appending
    files: Files
    links: Links
    callbacks: Callbacks
    contacts: Contacts
    imports: Imports
    tokens: Tokens
    records: Records
    jobs: JobQueue
    blobs: BlobStore
    detector: TypeDetector
    scanner: Scanner
    clock: Clock
    limits: BodyLimits
    public_url: str
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    company_settings: Mapping[str, CompanySetting[Any]]
    standing: Mapping[str, str]
    """Database, store, scanner and where rate limits are counted if not here, for people: what and where."""
    notices: Notices | None = None
    limiter: RateLimiter | None = None
    """Where other processes count too."""
    store_event_secret: str | None = field(default=None, repr=False)
