"""Reading and checking contacts beside readers that check nothing: `python -m bench.contacts_reading [rows]`.

CPU seconds and peak memory, each in a process of its own; the best of three. The rows have 12 typed columns and some
350 bytes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.contactfile import TYPES, write

READERS = ("ours", "pyarrow.csv", "csv")


def ours(path: Path, quote: str) -> int:
    from bench.contacttable import RULES
    from loadingdock.adapters.contacts.reading.dialect import Dialect
    from loadingdock.adapters.contacts.reading.reader import open_records

    reader = open_records(path, Dialect(quote=quote, header=True), RULES)
    for _ in reader:
        pass
    return reader.totals.records


def arrow(path: Path, quote: str) -> int:
    """All columns as text."""
    import pyarrow as pa
    from pyarrow import csv

    text = csv.ConvertOptions(column_types={name: pa.string() for name in TYPES})
    reading, parsing = csv.ReadOptions(use_threads=False), csv.ParseOptions(quote_char=quote or False)
    return sum(len(batch) for batch in csv.open_csv(path, reading, parsing, text))


def standard(path: Path, quote: str) -> int:
    import csv

    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file, quotechar=quote or None, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE)
        return sum(1 for _ in rows) - 1


RUNS: dict[str, Callable[[Path, str], int]] = dict(zip(READERS, (ours, arrow, standard), strict=True))


def child(reader: str, path: Path, quote: str) -> None:
    begun = time.process_time()
    rows = RUNS[reader](path, quote)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(rows, time.process_time() - begun, memory)


def measure(reader: str, path: Path, quote: str) -> tuple[float, int]:
    best, memory = float("inf"), 0
    for _ in range(3):
        command = [sys.executable, "-m", "bench.contacts_reading", "--child", reader, "--quote", quote, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        _, seconds, mib = done.stdout.split()
        best, memory = min(best, float(seconds)), max(memory, int(mib))
    return best, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", default="1000000")
    parser.add_argument("--child", choices=READERS)
    parser.add_argument("--quote", default="")
    options = parser.parse_args()
    if options.child:
        child(options.child, Path(options.rows), options.quote)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contacts.csv"
        for what, bad, quoted in (("plain", 0.0, False), ("quoted", 0.0, True), ("1 % bad", 0.01, False)):
            write(path, int(options.rows), bad=bad, quoted=quoted)
            print(f"{what}: {options.rows} rows, {path.stat().st_size / 1e6:.0f} MB")
            for reader in READERS:
                seconds, memory = measure(reader, path, '"' if quoted else "")
                print(f"  {reader:12} {seconds:6.2f} CPU s  {memory:5} MiB")


if __name__ == "__main__":
    main()
