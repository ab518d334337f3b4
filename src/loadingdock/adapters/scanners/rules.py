"""YARA-X rules: those that are shipped and an operator's own.

A rule that matches makes a file infected; one with the tag `unscannable` says that the file cannot be looked into.
"""

from __future__ import annotations

import hashlib
import io
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import yara_x

_OPAQUE = "unscannable"
_SUFFIXES = (".yar", ".yara")


class Rules:
    """Compiled once; raises yara_x.CompileError naming the file and the line that is wrong, and OSError."""

    def __init__(self, *folders: Path) -> None:
        compiler = yara_x.Compiler()
        digest = hashlib.sha256()
        files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix in _SUFFIXES]
        for folder in folders:
            compiler.add_include_dir(str(folder))
        for file in files:
            source = file.read_text(encoding="utf-8")
            digest.update(source.encode())
            compiler.new_namespace(str(file))  # two files may have a rule of one name
            compiler.add_source(source, origin=str(file))
        self._scanner = yara_x.Scanner(compiler.build())
        self._scanner.fast_scan(True)  # whether a pattern matches is enough
        self.version = f"YARA-X {version('yara-x')}, {len(files)} files of rules ({digest.hexdigest()[:12]})"

    def match(self, file: BinaryIO) -> tuple[str | None, str | None]:
        """(name of a rule that says infected, name of one that says unscannable). What is on disk is mapped by the
        engine, not read into memory."""
        if isinstance(file, io.BytesIO):
            matching = self._scanner.scan(file.getvalue()).matching_rules
        else:
            matching = self._scanner.scan_file(f"/dev/fd/{file.fileno()}").matching_rules
            # The engine keeps its last file mapped, and a deleted file's room would not be free until the next one.
            self._scanner.scan(b"")
        infected = opaque = None
        for rule in matching:
            if _OPAQUE in rule.tags:
                opaque = opaque or rule.identifier
            else:
                infected = infected or rule.identifier
        return infected, opaque
