"""management: everything that the other wires do not say, for scripts, administrators and the console."""

from loadingdock.dialects.management.routes import dialect

__all__ = ["dialect"]
