"""conversation-files: one file ahead of a conversation, to be attached to the e-mail of one contact."""

from loadingdock.dialects.conversation_files.routes import dialect

__all__ = ["dialect"]
