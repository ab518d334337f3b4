"""One transaction with a tenant, over any engine."""

from __future__ import annotations

from loadingdock.adapters.records.callbacks import CallbackRows
from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.files import AttachmentRows, FileRows
from loadingdock.adapters.records.housekeeping import HousekeepingRows
from loadingdock.adapters.records.identity import ApiKeyRows, ClientRows, CompanyRows, UserRows
from loadingdock.adapters.records.imports import ImportRows
from loadingdock.adapters.records.installation import SecretRows
from loadingdock.adapters.records.jobs import JobRows
from loadingdock.adapters.records.journal import AuditRows, EventRows, IdempotencyRows
from loadingdock.adapters.records.ledger import LedgerRow
from loadingdock.adapters.records.tables import TableRows
from loadingdock.adapters.records.uploads import UploadRows
from loadingdock.core.ports.callbacks import CallbackRecords
from loadingdock.core.ports.contacts import ContactTables
from loadingdock.core.ports.files import Attachments, Files, Ledger, UploadRecords
from loadingdock.core.ports.housekeeping import Housekeeping
from loadingdock.core.ports.identity import ApiKeys, Clients, Companies, Secrets, Users
from loadingdock.core.ports.imports import ImportRecords
from loadingdock.core.ports.jobs import JobRecords
from loadingdock.core.ports.journal import AuditLog, Events, Idempotency
from loadingdock.core.ports.records import Unit


class SqlUnit:
    """Holds nothing but its transaction and its tenant, so that an engine may use it again for the next work."""

    __slots__ = tuple(Unit.__annotations__)

    def __init__(self, db: Executor, company_id: int | None) -> None:
        self.companies: Companies = CompanyRows(db, company_id)
        self.users: Users = UserRows(db, company_id)
        self.keys: ApiKeys = ApiKeyRows(db, company_id)
        self.clients: Clients = ClientRows(db, company_id)
        self.secrets: Secrets = SecretRows(db)
        self.files: Files = FileRows(db, company_id)
        self.attachments: Attachments = AttachmentRows(db, company_id)
        self.uploads: UploadRecords = UploadRows(db, company_id)
        self.ledger: Ledger = LedgerRow(db, company_id)
        self.jobs: JobRecords = JobRows(db, company_id)
        self.callbacks: CallbackRecords = CallbackRows(db, company_id)
        self.tables: ContactTables = TableRows(db, company_id)
        self.imports: ImportRecords = ImportRows(db, company_id)
        self.audit: AuditLog = AuditRows(db, company_id)
        self.events: Events = EventRows(db, company_id)
        self.idempotency: Idempotency = IdempotencyRows(db, company_id)
        self.housekeeping: Housekeeping = HousekeepingRows(db)
