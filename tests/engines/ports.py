"""TCP ports of the loopback for servers that come and go."""

from __future__ import annotations

import os
import socket
import weakref


class Port:
    """One that stays ours while the server behind it is away: bound but never listened on, so that nobody else is
    given it, not even as the near end of a connection, and a server that sets SO_REUSEADDR may still take it. Goes
    with `close`, or with the last who knows it."""

    def __init__(self) -> None:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.number: int = held.getsockname()[1]
        self.close = weakref.finalize(self, os.close, held.detach())
