"""file-upload: an upload is initiated with its type; the answer says where the bytes go and which id they have."""

from loadingdock.dialects.file_upload.routes import dialect

__all__ = ["dialect"]
