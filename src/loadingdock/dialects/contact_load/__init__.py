"""contact-load: a CSV file of contacts on its way into a table that is there already."""

from loadingdock.dialects.contact_load.routes import dialect

__all__ = ["dialect"]
