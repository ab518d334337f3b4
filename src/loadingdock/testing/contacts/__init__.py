"""What every ContactStore has to keep.

A test module subclasses `ContactContract` and gives the fixture `contacts`, a fresh ContactStore.
"""

from loadingdock.testing.contacts.altering import AlteringContract
from loadingdock.testing.contacts.making import MakingContract
from loadingdock.testing.contacts.reading import ReadingContract


class ContactContract(MakingContract, AlteringContract, ReadingContract):
    """All of it."""


__all__ = ["ContactContract"]
