from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core.errors import ClientGone, InvalidInput, LengthMismatch, TooLarge, TooSlow
from loadingdock.web.body import BATCH, Body, Pace
from loadingdock.web.errors import UnsupportedMediaType
from tests.unit.bodies import Client, body_of, drain, request

MIB = 1 << 20


@given(st.lists(st.binary(max_size=100)))
async def test_all_bytes_in_order(pieces: list[bytes]) -> None:
    body = body_of(pieces)
    assert await drain(body) == b"".join(pieces)
    assert body.received == sum(map(len, pieces))


async def test_batches_are_full_and_not_more() -> None:
    batches = [batch async for batch in body_of([bytes(300_000)] * 12).batches()]
    sizes = [sum(map(len, batch)) for batch in batches]
    assert sum(sizes) == 12 * 300_000
    assert all(BATCH <= size < BATCH + 300_000 for size in sizes[:-1])


async def test_no_body() -> None:
    body = body_of(())
    assert body.declared is None
    assert [batch async for batch in body.batches()] == []


async def test_pieces_are_handed_on_without_a_copy() -> None:
    pieces = [bytes(70_000) for _ in range(3)]
    (batch,) = [batch async for batch in body_of(pieces).batches()]
    assert [id(piece) for piece in batch] == [id(piece) for piece in pieces]


# --- size --------------------------------------------------------------------


@pytest.mark.security(1)
async def test_a_declared_length_over_the_limit_is_refused_before_the_first_byte() -> None:
    client = Client([b"x"])
    with pytest.raises(TooLarge) as raised:
        Body(request([("Content-Length", "101")], client), max_size=100)
    assert (raised.value.limit, raised.value.received) == (100, 101)
    assert client.asked == 0


@pytest.mark.security(1)
async def test_a_chunked_body_over_the_limit_is_refused_as_it_comes() -> None:
    body = body_of(itertools.repeat(bytes(60)), max_size=100)
    with pytest.raises(TooLarge):
        await drain(body)
    assert body.received == 120


@pytest.mark.security(1)
async def test_exactly_the_limit_is_allowed() -> None:
    assert await drain(body_of([b"x"] * 100, [("Content-Length", "100")], max_size=100)) == b"x" * 100


@pytest.mark.parametrize("sent", [0, 99, 101])
async def test_another_length_than_declared(sent: int) -> None:
    with pytest.raises(LengthMismatch):
        await drain(body_of([b"x"] * sent, [("Content-Length", "100")]))


@pytest.mark.security(2)
@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "", " ", "0x5", "5,5", "5 5", "٥", "9" * 19])
async def test_what_is_no_length(length: str) -> None:
    raw = [(b"content-length", length.encode())]
    asked = request()
    asked.scope["headers"] = raw
    with pytest.raises(InvalidInput):
        Body(asked, max_size=100)


async def test_two_lengths() -> None:
    with pytest.raises(InvalidInput):
        body_of(b"", [("Content-Length", "5"), ("Content-Length", "5")])


async def test_read_has_a_limit_of_its_own() -> None:
    assert await body_of([b"a", b"b"], [("Content-Length", "2")]).read(2) == b"ab"
    with pytest.raises(TooLarge):
        await body_of([b"a", b"b", b"c"]).read(2)
    client = Client([b"abc"])
    with pytest.raises(TooLarge):
        await Body(request([("Content-Length", "3")], client), max_size=100).read(2)
    assert client.asked == 0


# --- coding ------------------------------------------------------------------


@pytest.mark.security(5)
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip", "identity, gzip", "aws-chunked", "x"])
async def test_an_encoded_body_is_refused_before_the_first_byte(coding: str) -> None:
    client = Client([b"x"])
    with pytest.raises(UnsupportedMediaType):
        Body(request([("Content-Encoding", coding)], client), max_size=100)
    assert client.asked == 0


@pytest.mark.parametrize("coding", ["identity", " Identity ", ""])
async def test_identity_is_no_encoding(coding: str) -> None:
    assert await drain(body_of(b"x", [("Content-Encoding", coding)])) == b"x"


# --- clients -----------------------------------------------------------------


async def test_a_client_that_goes_away() -> None:
    with pytest.raises(ClientGone):
        await drain(body_of([b"x"], then="disconnect"))


async def test_what_came_before_is_handed_on() -> None:
    batches = body_of([b"a", b"b"], then="disconnect").batches()
    assert await anext(batches) == [b"a", b"b"]
    with pytest.raises(ClientGone):
        await anext(batches)


@pytest.mark.security(6)
async def test_a_silent_client() -> None:
    with pytest.raises(TooSlow):
        await drain(body_of([b"x"], then="silence", pace=Pace(rate=1, window=0.02)))


@pytest.mark.security(6)
async def test_what_came_before_the_silence_is_handed_on() -> None:
    batches = body_of([b"a", b"b"], then="silence", pace=Pace(rate=100, window=0.02)).batches()
    assert await anext(batches) == [b"a", b"b"]
    with pytest.raises(TooSlow):
        await anext(batches)


@pytest.mark.security(6)
async def test_the_deadline_is_absolute() -> None:
    """However fast the bytes come."""
    body = body_of(itertools.repeat(bytes(MIB)), max_size=1 << 60, pace=Pace(deadline=0.02))
    with pytest.raises(TooSlow):
        async for _ in body.batches():
            pass


@pytest.mark.security(6)
async def test_a_deadline_ends_silence_within_a_window() -> None:
    with pytest.raises(TooSlow):
        await drain(body_of((), then="silence", pace=Pace(rate=0, deadline=0.02)))
