"""What every BlobStore must do.

A test module subclasses `BlobStoreContract` and gives a fixture `open_store`: each call opens the same store anew, as
another process would. Whatever a test leaves is deleted through the store, and then nothing may be left.
"""

from loadingdock.testing.blobs.reading import ReadingContract
from loadingdock.testing.blobs.suspending import SuspendingContract
from loadingdock.testing.blobs.whole import WholeContract


class BlobStoreContract(WholeContract, ReadingContract, SuspendingContract):
    """All of it."""


__all__ = ["BlobStoreContract"]
