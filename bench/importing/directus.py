"""Directus beside us: its own server in front of the same PostgreSQL, its CSV import asked for over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.cases import Figure
from bench.contactfile import TYPES
from bench.importing.contestants import figure
from bench.importing.material import Material
from bench.importing.service import Stage
from bench.servers import Server

_ADMIN = {"email": "admin@example.com", "password": "bench-password"}
_TYPES = {
    "integer": "bigInteger",
    "text(100)": "string",
    "text(200)": "string",
    "text": "text",
    "email": "string",
    "phone": "string",
    "date": "date",
    "datetime": "timestamp",
    "decimal(12,2)": "decimal",
    "boolean": "boolean",
}
_PATIENCE = 600.0  # seconds for one import


class Directus(Server):
    """`packages`: the folder of its node_modules, and of bin/node unless the one on the path is meant."""

    name = "Directus"

    def __init__(self, folder: Path, packages: Path, stage: Stage, material: Material) -> None:
        assert stage.postgres is not None
        self._packages = packages
        self._stage = stage
        self._material = material
        self._database = stage.postgres.database()
        self._secret = secrets.token_hex(16)
        self._cwd = folder.with_name(f"{folder.name}-work")  # it writes beside itself
        self._cwd.mkdir(parents=True)
        self.port = 0
        subprocess.run(
            self._command("bootstrap"), env=self.environment(), cwd=self._cwd, check=True, capture_output=True
        )
        super().__init__(folder)
        self._token = ""
        self._token = self._ask("POST", "/auth/login", _ADMIN)["data"]["access_token"]

    def command(self) -> list[str]:
        return self._command("start")

    def _command(self, word: str) -> list[str]:
        return [self._node(), str(self._packages / "node_modules/directus/cli.js"), word]

    def _node(self) -> str:
        own = self._packages / "bin/node"
        return str(own) if own.exists() else "node"

    def environment(self) -> dict[str, str]:
        settings = {
            "DB_CLIENT": "pg",
            "DB_CONNECTION_STRING": self._database,
            "SECRET": self._secret,
            "ADMIN_EMAIL": _ADMIN["email"],
            "ADMIN_PASSWORD": _ADMIN["password"],
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "TELEMETRY": "false",
            "LOG_LEVEL": "error",
            "ACCESS_TOKEN_TTL": "1d",
            "STORAGE_LOCAL_ROOT": str(self._cwd / "uploads"),
            "EXTENSIONS_PATH": str(self._cwd / "extensions"),
        }
        return {**os.environ, **settings}

    def measure(self) -> Figure:
        name = f"target_{secrets.token_hex(4)}"
        fields: list[dict[str, Any]] = [
            {"field": "key", "type": "integer", "schema": {"is_primary_key": True, "has_auto_increment": True}}
        ]
        for field, type in TYPES.items():
            schema: dict[str, object] = {"is_unique": field == "email"}
            if type.startswith("decimal"):
                schema |= {"numeric_precision": 12, "numeric_scale": 2}
            fields.append({"field": field, "type": _TYPES[type], "schema": schema})
        meta = {"accountability": None}  # no log of what was done to each row
        self._ask("POST", "/collections", {"collection": name, "schema": {}, "meta": meta, "fields": fields})
        cpu, begun = self._stage.cpu_seconds(self.process.pid), time.perf_counter()
        self._send(f"/utils/import/{name}", self._material.all)
        while self._count(name) < self._material.rows:  # it may answer before it has ended
            if time.perf_counter() - begun > _PATIENCE:
                raise RuntimeError(f"Directus imported {self._count(name)} rows in {_PATIENCE} seconds")
            time.sleep(0.2)
        took = time.perf_counter() - begun
        cpu = self._stage.cpu_seconds(self.process.pid) - cpu
        self._ask("DELETE", f"/collections/{name}")
        return figure(self._material.rows, took, cpu)

    def _count(self, name: str) -> int:
        return int(self._ask("GET", f"/items/{name}?aggregate[count]=*")["data"][0]["count"])

    def _send(self, path: str, file: Path) -> None:
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        self._request("POST", path, body, f"multipart/form-data; boundary={boundary}")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        said = None if body is None else json.dumps(body).encode()
        text = self._request(method, path, said, "application/json")
        return json.loads(text) if text else None

    def _request(self, method: str, path: str, body: bytes | None, type: str) -> bytes:
        headers = {"Content-Type": type} if body else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=_PATIENCE)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {text.decode(errors='replace')[:500]}")
        return text
