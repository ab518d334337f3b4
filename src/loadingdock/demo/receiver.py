"""Whoever is called back: a server on a free port that takes callbacks and verifies their signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Received:
    message: dict[str, Any]
    genuine: bool


class Receiver:
    """`secret` as `loadingdock callback secret` shows it. A context: it listens while it lasts."""

    def __init__(self, secret: str) -> None:
        self._received: queue.Queue[Received] = queue.Queue()
        key, received = base64.b64decode(secret.removeprefix("whsec_")), self._received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
                signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
                ours = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
                theirs = self.headers["webhook-signature"].split()
                self.send_response(204)
                self.end_headers()
                received.put(Received(json.loads(body), any(hmac.compare_digest(ours, each) for each in theirs)))

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/imports"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Received:
        """Waits for it; nothing genuine where none comes."""
        try:
            return self._received.get(timeout=_PATIENCE)
        except queue.Empty:
            return Received({}, False)
