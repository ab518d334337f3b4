"""Memory does not grow with the file, nor with what is wrong with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import sys
from pathlib import Path
from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.contacts.reading.rules import ColumnRule, Date, Email, Integer, Text

kind, rows = sys.argv[1], int(sys.argv[2])
rules = {"id": Integer(), "email": Email(), "born": Date(), "note": Text()}
columns = {name: ColumnRule(name, each) for name, each in rules.items()}
lines = {
    "good": b"12,somebody@example.com,1990-01-31,%b\\n" % (b"x" * 60),
    "wrong": b"12,somebody@example,1990-02-31,%b\\n" % (b"x" * 60),
    "ragged": b"x\\n",
    "quotes": b'12,5" x,,\\n',
}
pieces = (lines[kind] * 1_000 for _ in range(rows // 1_000))
reader = open_records(pieces, Dialect(quote='"'), columns, list(columns))
for batch in reader:
    pass
assert reader.totals.records == rows
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)  # getrusage's would begin at what the parent had when it forked
"""


def peak(kind: str, rows: int) -> int:
    """MiB."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, kind, str(rows)], capture_output=True, text=True, check=True, timeout=110
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rows"), [("good", 100_000), ("wrong", 30_000), ("ragged", 100_000), ("quotes", 20_000)]
)
def test_memory_is_bounded(kind: str, rows: int) -> None:
    few, many = peak(kind, rows), peak(kind, 6 * rows)
    assert many < few + 64  # a block and a batch that were not full with few rows
    assert many < 350
