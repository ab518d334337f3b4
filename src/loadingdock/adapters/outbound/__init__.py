"""HTTP to addresses that clients name: what may be reached, and how it is reached and nothing else."""

from loadingdock.adapters.outbound.rules import Rules
from loadingdock.adapters.outbound.sender import HttpSender

__all__ = ["HttpSender", "Rules"]
