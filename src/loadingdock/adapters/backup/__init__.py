"""Backups of the embedded installation: one SQLite file and one folder of blobs, into a folder and back.

    target/installation             whose backup it is; written first
    target/blobs/2026/11/22/0517/.. the blobs under their keys, as in the store
    target/records-<id>.sqlite3     the records at one moment
    target/blobs-<id>.sha256        the blobs that those records point at, as `sha256sum -c` reads it
    target/contacts-<id>-7.sqlite3  the contact tables of company 7, as they were soon after
    target/manifest.json            names these with their digests; written last

Everything in this package blocks.
"""

from loadingdock.adapters.backup.making import Made, make
from loadingdock.adapters.backup.manifest import Manifest
from loadingdock.adapters.backup.progress import Progress
from loadingdock.adapters.backup.restoring import restore

__all__ = ["Made", "Manifest", "Progress", "make", "restore"]
