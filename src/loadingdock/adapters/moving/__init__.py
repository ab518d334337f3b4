"""An installation on its way to another database and another store."""

from loadingdock.adapters.moving.ledger import CopyLedger
from loadingdock.adapters.moving.rows import DatabaseRows
from loadingdock.adapters.moving.sqlite import SqliteDatabase
from loadingdock.adapters.moving.tables import Database

__all__ = ["CopyLedger", "Database", "DatabaseRows", "SqliteDatabase"]
