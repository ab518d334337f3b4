"""What every TextExtractor must do. A test module subclasses `TextExtractorContract` and gives two fixtures:
`extractor`, and `short_extractor`, which cuts its output at LIMIT characters."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loadingdock.core.ports.processing import TextExtractor
from loadingdock.testing import material

LIMIT = 1000
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

READABLE = [
    (material.pdf("Hello from a PDF"), PDF, "Hello from a PDF"),
    (material.docx("First paragraph", "Second"), DOCX, "First paragraph\nSecond"),
    (b"name,amount\nanna,1\n", "text/csv", "name,amount\nanna,1"),
    ("Grüße, 你好, 🎈\n".encode(), "text/plain", "Grüße, 你好, 🎈"),
    ("\ufeffGrüße".encode(), "text/plain; charset=utf-8", "Grüße"),
    ("Grüße €".encode("cp1252"), "TEXT/PLAIN", "Grüße €"),
    ("Grüße".encode("utf-16"), "text/plain", "Grüße"),
    (b"", "text/plain", ""),
]
UNREADABLE = [
    (b"", PDF),
    (b"%PDF-1.7\nand then nothing", PDF),
    (material.pdf()[:200], PDF),
    (b"no zip at all", DOCX),
    (material.docx("Hello")[:-30], DOCX),
    (material.zipped({"a": b"b"}), DOCX),
    (material.zipped({"a": b"b"}), XLSX),
    (material.docx("Hello"), XLSX),
    (material.encrypted_zip(), DOCX),
]


class TextExtractorContract:
    @pytest.mark.parametrize(("data", "type", "text"), READABLE)
    async def test_text(self, extractor: TextExtractor, tmp_path: Path, data: bytes, type: str, text: str) -> None:
        path = tmp_path / "blob"
        path.write_bytes(data)
        extracted = await extractor.extract(path, type)
        assert extracted.problem is None
        assert extracted.text is not None
        assert extracted.text.strip() == text
        assert not extracted.cut
        assert path.read_bytes() == data

    @pytest.mark.parametrize("type", ["image/png", "application/octet-stream", "application/zip", "nonsense"])
    async def test_a_type_without_text(self, extractor: TextExtractor, tmp_path: Path, type: str) -> None:
        path = tmp_path / "blob"
        path.write_bytes(material.png())
        extracted = await extractor.extract(path, type)
        assert (extracted.text, extracted.cut, extracted.problem) == (None, False, None)

    @pytest.mark.parametrize(("data", "type"), UNREADABLE)
    async def test_what_cannot_be_read_names_the_problem(
        self, extractor: TextExtractor, tmp_path: Path, data: bytes, type: str
    ) -> None:
        path = tmp_path / "blob"
        path.write_bytes(data)
        extracted = await extractor.extract(path, type)
        assert extracted.text is None
        assert extracted.problem

    async def test_a_missing_file_names_the_problem(self, extractor: TextExtractor, tmp_path: Path) -> None:
        extracted = await extractor.extract(tmp_path / "nothing", "text/plain")
        assert extracted.text is None
        assert extracted.problem

    @pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, 100 * LIMIT])
    @pytest.mark.parametrize("character", ["x", "ü", "🎈"])
    async def test_output_is_cut(
        self, short_extractor: TextExtractor, tmp_path: Path, character: str, length: int
    ) -> None:
        path = tmp_path / "blob"
        path.write_bytes((character * length).encode())
        extracted = await short_extractor.extract(path, "text/plain")
        assert extracted.text == character * min(length, LIMIT)
        assert extracted.cut == (length > LIMIT)

    async def test_a_document_is_cut_as_well(self, short_extractor: TextExtractor, tmp_path: Path) -> None:
        path = tmp_path / "blob"
        path.write_bytes(material.docx(*("word" * 100 for _ in range(100))))
        extracted = await short_extractor.extract(path, DOCX)
        assert extracted.text is not None
        assert len(extracted.text) == LIMIT
        assert extracted.cut

    async def test_many_at_once(self, extractor: TextExtractor, tmp_path: Path) -> None:
        paths = []
        for n in range(20):
            paths.append(tmp_path / str(n))
            paths[-1].write_bytes(b"number %d" % n)
        extracted = await asyncio.gather(*(extractor.extract(path, "text/plain") for path in paths))
        assert [e.text for e in extracted] == [f"number {n}" for n in range(20)]

    async def test_goes_on_after_hostile_files(self, extractor: TextExtractor, tmp_path: Path) -> None:
        path = tmp_path / "blob"
        for data, type in UNREADABLE:
            path.write_bytes(data)
            await extractor.extract(path, type)
        path.write_bytes(b"still here")
        assert (await extractor.extract(path, "text/plain")).text == "still here"

    async def test_survives_a_cancelled_extraction(self, extractor: TextExtractor, tmp_path: Path) -> None:
        path = tmp_path / "blob"
        path.write_bytes(b"still here")
        task = asyncio.create_task(extractor.extract(path, "text/plain"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await extractor.extract(path, "text/plain")).text == "still here"
