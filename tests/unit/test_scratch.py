"""Folders of jobs are gone when the job is done, or the process that did it is no more."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from loadingdock.core.scratch import clear, scratch

_HOLDER = """
from loadingdock.core.scratch import scratch
with scratch() as folder:
    (folder / "copy").write_text("what somebody sent")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_is_gone_afterwards(place: Path) -> None:
    with scratch() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "copy").write_text("x")
        assert clear() == 0
        assert (folder / "copy").exists()
    assert [*place.iterdir()] == []
    with pytest.raises(RuntimeError), scratch():
        raise RuntimeError
    assert [*place.iterdir()] == []


def test_that_of_a_killed_process_is_cleared_by_the_next(place: Path) -> None:
    (place / "loadingdock-job-elsewhere").symlink_to(place)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert clear() == 0
        assert (folder / "copy").exists()
        holder.kill()
    assert clear() == 1
    assert [each.name for each in place.iterdir()] == ["loadingdock-job-elsewhere"]
