"""How a database refuses changes while the installation is moved elsewhere, and afterwards.

By triggers on every table, made in one transaction: from its commit on every process meets them, whatever it had
begun and however long it has been running, and nobody pays for it before. One table stays open, the audit log: what is
read has to be written down there. Everything else that a read would like to write, it does without.
"""

from __future__ import annotations

OWN = "loadingdock_"
"""What the tables begin with that are no part of the schema: they stay where they are."""
MARK = "loadingdock_move"
"""What the database knows of a move: of this one, or that it came by one itself."""
SEALED = f"SELECT place FROM {MARK} WHERE role = 'source'"  # noqa: S608 - ours
"""The place where the installation is being moved to, or has been; no row in a database that takes changes."""
WORDS = "loadingdock is sealed"
SQLSTATE = "LD503"
LOG, LOG_KEY = "audit", "seq"
"""The table that stays open, and the number by which its rows came."""
