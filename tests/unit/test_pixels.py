"""How many pixels an image claims, against what an encoder wrote, and against headers that lead nowhere."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.pixels import image_pixels
from tests import samples

FORMATS: list[samples.ImageFormat] = ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF"]
SAMPLES = samples.Files({format: partial(samples.image, format) for format in FORMATS} | {"HEIC": samples.heic})
changes = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6)
sizes = st.tuples(st.integers(1, 200), st.integers(1, 200))


@given(st.sampled_from([f for f in FORMATS if f not in ("ICO", "AVIF")]), sizes)
def test_what_an_encoder_wrote(format: samples.ImageFormat, size: tuple[int, int]) -> None:
    assert image_pixels(samples.image(format, size)) == size[0] * size[1]


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": False}),
        ("WEBP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),  # the extended form
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000), "comment": b"x" * 60_000}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
        ("AVIF", {}),
    ],
)
def test_variants(format: samples.ImageFormat, options: dict[str, object]) -> None:
    assert image_pixels(samples.image(format, (40, 30), **options)) == 1200


def test_heic() -> None:
    assert image_pixels(samples.heic((4032, 3024))) == 4032 * 3024


def test_the_largest_of_several_counts() -> None:
    from PIL import Image

    pages = [Image.new("L", size) for size in ((10, 10), (50, 40), (20, 20))]
    assert image_pixels(samples.image("TIFF", (5, 5), save_all=True, append_images=pages)) == 2000


def test_an_icon_with_a_picture_larger_than_it_says() -> None:
    picture = samples.png((3000, 2000))
    icon = struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22) + picture
    assert image_pixels(icon) == 6_000_000


def test_a_bitmap_upside_down() -> None:
    data = bytearray(samples.image("BMP", (4, 3)))
    struct.pack_into("<i", data, 22, -3)
    assert image_pixels(bytes(data)) == 12


@pytest.mark.parametrize("data", [b"", b"hello", samples.svg(), b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"])
def test_what_says_nothing(data: bytes) -> None:
    assert image_pixels(data) is None


def test_a_document_says_nothing() -> None:
    assert image_pixels(samples.pdf()) is None


def test_a_chain_of_directories_that_bites_its_tail() -> None:
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHII", 1, 256, 4, 1, 7) + struct.pack("<I", 8)
    assert image_pixels(data) == 0


@pytest.mark.security(16)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.data(),
)
def test_total(format: str, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    image = bytearray(SAMPLES[format])
    for at, value in changes:
        image[at % len(image)] = value
    pixels = image_pixels(bytes(image[: data.draw(st.integers(0, len(image)))]))
    assert pixels is None or pixels >= 0
