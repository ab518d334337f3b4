"""The rules that are shipped, and how a verdict is read out of what matches."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
import yara_x

from loadingdock.adapters.scanners.local import SHIPPED_RULES
from loadingdock.adapters.scanners.rules import Rules
from tests import samples


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(SHIPPED_RULES)


@pytest.mark.parametrize("offset", [0, 1, 511, 512, 100_000])
def test_eicar_anywhere(rules: Rules, offset: int) -> None:
    assert rules.match(io.BytesIO(bytes(offset) + samples.eicar())) == ("EICAR_test_file", None)


def test_the_harmless_marker(rules: Rules) -> None:
    assert rules.match(io.BytesIO(b"before " + samples.MARKER)) == ("Test_marker", None)


@pytest.mark.parametrize(
    "head",
    [
        b"Rar!\x1a\x07\x00",
        b"Rar!\x1a\x07\x01\x00",
        b"MSCF\0\0\0\0",
        b"\x04\x22\x4d\x18",
        b"LZIP\x01",
        b"\x5d\0\0\x80\0" + b"\xff" * 8,
        b"\x1f\x9d",
        b"\x60\xea" + bytes(8) + b"\x02",
        b"!<arch>\n",
        b"\xed\xab\xee\xdb",
        b"xar!",
        b"hsqs",
        b"MSWIM\0\0\0",
        b"ITSF\x03\0\0\0",
        bytes(7) + b"**ACE**",
        bytes(2) + b"-lh5-",
        bytes(20) + b"\xdc\xa7\xc4\xfd",
    ],
)
def test_archives_that_cannot_be_opened(rules: Rules, head: bytes) -> None:
    assert rules.match(io.BytesIO(head + bytes(100))) == (None, "Archive_of_unknown_format")
    assert rules.match(io.BytesIO(b"It is not one here: " + head + bytes(100))) == (None, None)


@pytest.mark.parametrize("program", [b"MZ", b"\x7fELF"])
@pytest.mark.parametrize("archive", ["7z", "rar"])
def test_self_extracting_archives(rules: Rules, program: bytes, archive: str) -> None:
    packed = samples.seven_zip({"a": b"b"}) if archive == "7z" else b"Rar!\x1a\x07\x01\x00"
    assert rules.match(io.BytesIO(program + bytes(1000) + packed)) == (None, "Program_with_an_archive_inside")


def test_an_office_document_with_a_password(rules: Rules) -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le")
    assert rules.match(io.BytesIO(data)) == (None, "Encrypted_office_document")


@pytest.mark.parametrize("name", samples.clean())
def test_honest_files_match_nothing(rules: Rules, name: str) -> None:
    assert rules.match(io.BytesIO(samples.clean()[name])) == (None, None)


def test_a_file_is_let_go_of(rules: Rules) -> None:
    """What the engine still maps keeps a deleted file's room."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(1 << 20) + samples.eicar())
        file.flush()
        assert rules.match(file.file) == ("EICAR_test_file", None)  # type: ignore[arg-type]  # the wrapped file
        assert file.name not in Path("/proc/self/maps").read_text()


def test_two_files_may_have_a_rule_of_one_name(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"{n}.yar").write_text(f'rule same {{ strings: $a = "number {n}" condition: $a }}')
    rules = Rules(tmp_path)
    assert rules.match(io.BytesIO(b"number 2")) == ("same", None)


def test_a_broken_rule_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "broken.yar").write_text("rule {")
    with pytest.raises(yara_x.CompileError, match=r"broken\.yar"):
        Rules(tmp_path)


def test_the_version_changes_with_the_rules(tmp_path: Path, rules: Rules) -> None:
    (tmp_path / "own.yar").write_text("rule own { condition: false }")
    assert rules.version != Rules(SHIPPED_RULES, tmp_path).version
    assert rules.version == Rules(SHIPPED_RULES).version
