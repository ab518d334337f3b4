"""What every Records has to keep.

A test module subclasses `RecordsContract` and gives the fixture `open_store`, an `OpenStore`: each call of it opens a
fresh store, its schema up to date.
"""

from loadingdock.testing.records.callbacks import CallbackContract
from loadingdock.testing.records.files import AttachmentContract, FileContract
from loadingdock.testing.records.housekeeping import HousekeepingContract
from loadingdock.testing.records.identity import IdentityContract
from loadingdock.testing.records.imports import ImportContract
from loadingdock.testing.records.journal import EventContract, IdempotencyContract, LedgerContract
from loadingdock.testing.records.lists import ListContract
from loadingdock.testing.records.queues import QueueContract
from loadingdock.testing.records.reports import ReportContract
from loadingdock.testing.records.store import OpenStore, Store
from loadingdock.testing.records.tables import TableContract
from loadingdock.testing.records.tenants import TenantContract
from loadingdock.testing.records.units import UnitContract
from loadingdock.testing.records.uploads import UploadContract


class RecordsContract(
    UnitContract,
    IdentityContract,
    FileContract,
    ListContract,
    AttachmentContract,
    UploadContract,
    LedgerContract,
    EventContract,
    IdempotencyContract,
    TableContract,
    ImportContract,
    QueueContract,
    ReportContract,
    HousekeepingContract,
    CallbackContract,
    TenantContract,
):
    """All of it."""


__all__ = ["OpenStore", "RecordsContract", "Store"]
