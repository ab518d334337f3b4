"""signed-url: a presigned upload URL, the status of what becomes of the file, and the files of one end user."""

from loadingdock.dialects.signed_url.routes import dialect

__all__ = ["dialect"]
