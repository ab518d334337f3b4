"""The only room that names concrete classes: Settings -> System, and the services in it."""

from loadingdock.bootstrap.engines import CONTACTS, DATABASE, FILES
from loadingdock.bootstrap.running import System, lifetime, system
from loadingdock.bootstrap.upkeep import back_up, moving, restore

__all__ = ["CONTACTS", "DATABASE", "FILES", "System", "back_up", "lifetime", "moving", "restore", "system"]
