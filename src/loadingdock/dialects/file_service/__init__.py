"""file-service: images, and other files, under names in namespaces; each upload of a name is a new version."""

from loadingdock.dialects.file_service.routes import dialect

__all__ = ["dialect"]
