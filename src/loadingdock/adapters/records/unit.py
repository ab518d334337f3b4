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
from loadingdock.core import ports
from loadingdock.core.contactports import ContactTables
from loadingdock.core.importports import ImportRecords


class SqlUnit:
    """Holds nothing but its transaction and its tenant, so that an engine may use it again for the next work."""

    __slots__ = tuple(ports.Unit.__annotations__)

    def __init__(self, db: Executor, company_id: int | None) -> None:
        self.companies: ports.Companies = CompanyRows(db, company_id)
        self.users: ports.Users = UserRows(db, company_id)
        self.keys: ports.ApiKeys = ApiKeyRows(db, company_id)
        self.clients: ports.Clients = ClientRows(db, company_id)
        self.secrets: ports.Secrets = SecretRows(db)
        self.files: ports.Files = FileRows(db, company_id)
        self.attachments: ports.Attachments = AttachmentRows(db, company_id)
        self.uploads: ports.UploadRecords = UploadRows(db, company_id)
        self.ledger: ports.Ledger = LedgerRow(db, company_id)
        self.jobs: ports.JobRecords = JobRows(db, company_id)
        self.callbacks: ports.CallbackRecords = CallbackRows(db, company_id)
        self.tables: ContactTables = TableRows(db, company_id)
        self.imports: ImportRecords = ImportRows(db, company_id)
        self.audit: ports.AuditLog = AuditRows(db, company_id)
        self.events: ports.Events = EventRows(db, company_id)
        self.idempotency: ports.Idempotency = IdempotencyRows(db, company_id)
        self.housekeeping: ports.Housekeeping = HousekeepingRows(db)
