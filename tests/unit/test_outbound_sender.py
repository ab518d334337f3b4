"""What is reached, and what becomes of receivers and resolvers that mean ill."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from loadingdock.adapters.outbound import HttpSender, Rules
from loadingdock.adapters.outbound.connecting import Resolve, SystemResolver
from loadingdock.core.errors import InvalidInput
from loadingdock.testing.clock import SetClock
from tests.engines.certificates import certify
from tests.receiver import Behaviour, Receiver, drips, floods, hangs, resets, says, sends

HEADERS = {"content-type": "application/json", "webhook-id": "7"}
BODY = b'{"name":"\xc3\xbc"}'
SHORT = 0.25  # seconds for a request that will not be answered
LONG = 30.0


class Resolver:
    """Says each time what comes next, the last of it for good."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def nobody(host: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def no_name_server(host: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def sender(
    *allow: str,
    resolve: Resolve | None = None,
    timeout: float = LONG,
    ports: Sequence[str] = ("80", "443"),
    tls: ssl.SSLContext | None = None,
) -> HttpSender:
    return HttpSender(Rules.of(allow, ports), SetClock(), timeout=timeout, resolve=resolve, tls=tls)


# --- what is sent, and what comes of it ---


async def test_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Receiver() as receiver:
        out = sender("127.0.0.1")
        answer = await out.post(receiver.url("/a/../b?x=1&y=%2F"), HEADERS, BODY)
        (got,) = receiver.received
    assert (answer.status, answer.fault, answer.error, answer.retry_after) == (204, None, None, None)
    assert got.target == "/a/../b?x=1&y=%2F"
    assert got.body == BODY
    assert got.headers.pop("user-agent").startswith("loadingdock/")
    assert got.headers == {
        **HEADERS,
        "host": f"127.0.0.1:{receiver.port}",
        "accept": "*/*",
        "connection": "close",
        "content-length": str(len(BODY)),
    }


@pytest.mark.security(29)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    with Receiver() as elsewhere, Receiver(says(status, f"Location: {elsewhere.url()}")) as receiver:
        out = sender("127.0.0.1")
        assert (await out.post(receiver.url(), HEADERS, BODY)).status == status
        assert elsewhere.received == []


BADLY: dict[str, tuple[Behaviour, str]] = {
    "resets": (resets, "unreachable"),
    "ends without a word": (sends(b""), "protocol"),
    "hangs": (hangs, "timeout"),
    "speaks no HTTP": (sends(b"220 smtp ready\r\n" * 9), "protocol"),
    "drips its head": (drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "timeout"),
    "has a head without an end": (floods(b"HTTP/1.1 200 OK\r\nX: "), "protocol"),
    "has ten thousand headers": (says(200, *(f"X-{n}: {'y' * 20}" for n in range(10_000))), "protocol"),
    "says wait for good": (drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "timeout"),
    "splits its head": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), "protocol"),
}


@pytest.mark.security(29)
@pytest.mark.parametrize("name", BADLY)
async def test_a_receiver_that_answers_badly(name: str) -> None:
    behaviour, fault = BADLY[name]
    with Receiver(behaviour) as receiver:
        out = sender("127.0.0.1", timeout=SHORT if fault == "timeout" else LONG)
        answer = await out.post(receiver.url(), HEADERS, BODY)
    assert (answer.status, answer.fault) == (None, fault)
    assert answer.error
    assert timedelta() <= answer.took < timedelta(seconds=LONG)


@pytest.mark.security(29)
@pytest.mark.parametrize(
    "behaviour",
    [
        floods(b"HTTP/1.1 200 OK\r\n\r\n"),
        floods(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nbomb"),
        hangs,
    ],
    ids=["flood", "huge", "drip", "broken", "cut", "gzip", "hang"],
)
async def test_a_status_stands_whatever_the_body(behaviour: Behaviour) -> None:
    """And the body is not taken: some of it, for a second at most."""
    if behaviour is hangs:

        def then_hangs(connection: socket.socket, over: object) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            hangs(connection, over)  # type: ignore[arg-type]  # the event is handed on as it came

        behaviour = then_hangs
    with Receiver(behaviour) as receiver:
        out = sender("127.0.0.1")
        answer = await out.post(receiver.url(), HEADERS, BODY)
    assert answer.status == 200
    assert answer.took < timedelta(seconds=LONG)


@pytest.mark.security(29)
async def test_nothing_of_an_answer_is_kept() -> None:
    secret = b"inner-page"
    with Receiver(says(500, f"X-Inner: {secret.decode()}", body=secret), sends(b"junk " + secret)) as receiver:
        out = sender("127.0.0.1")
        for _ in range(2):
            assert secret.decode() not in repr(await out.post(receiver.url(), HEADERS, BODY))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:03:05 GMT", 0),
        ("Fri, 02 Jan 2026 05:05:05 +0200", 60),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Fri, 02 Jan 2026 04444444444443:05:05 +0200", None),
        ("Fri, 02 Jan 99999 03:05:05 GMT", None),
        ("9" * 30, None),
    ],
)
async def test_when_to_come_again(header: str, seconds: int | None) -> None:
    with Receiver(says(503, f"Retry-After: {header}")) as receiver:
        out = sender("127.0.0.1")
        answer = await out.post(receiver.url(), HEADERS, BODY)
    assert answer.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_nobody_there() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        out = sender("127.0.0.1")
        answer = await out.post(url, HEADERS, BODY)
    assert (answer.fault, answer.error) == ("unreachable", "No connection could be made.")


async def test_the_next_address_is_tried() -> None:
    with Receiver(host="127.0.0.2") as receiver:
        out = sender("127.0.0.0/8", resolve=Resolver(["127.0.0.3", "127.0.0.2"]))
        answer = await out.post(receiver.url(host="two.example"), HEADERS, BODY)
    assert answer.status == 204


@pytest.mark.parametrize("resolve", [nobody, no_name_server, Resolver([])])
async def test_a_name_that_is_not_resolved_is_tried_again_later(resolve: Resolve) -> None:
    out = sender(resolve=resolve)
    answer = await out.post("https://a.example/", HEADERS, BODY)
    assert (answer.fault, answer.error) == ("unreachable", "The host's name was not resolved.")


async def test_the_systems_resolver_is_asked() -> None:
    with Receiver() as receiver:
        out = sender("localhost")
        assert (await out.post(receiver.url(host="localhost"), HEADERS, BODY)).status == 204
        out = sender()
        with pytest.raises(InvalidInput, match="an address that is not public"):
            await out.check("http://localhost/")


# --- the guard ---


@pytest.mark.security(29)
@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/"),
        *("http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://0.0.0.0/"),
        *("http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "http://224.0.0.1/", "http://[ff02::1]/"),
        *("http://1.1.1.1:22/", "ftp://1.1.1.1/", "http://2130706433/", "http://[localhost]/", "http://u:p@1.1.1.1/"),
    ],
)
async def test_refused_at_submission_and_again_at_connection(url: str) -> None:
    out = sender(resolve=nobody)
    with pytest.raises(InvalidInput, match=r"^The callback URL cannot be used: .+\.$") as caught:
        await out.check(url)
    answer = await out.post(url, HEADERS, BODY)
    assert caught.value.field == "callback"
    assert (answer.status, answer.fault) == (None, "refused")


@pytest.mark.security(29)
async def test_a_name_that_leads_inside_is_refused() -> None:
    with Receiver() as receiver:
        for found in (["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["::ffff:127.0.0.1"]):
            out = sender(resolve=Resolver(found), ports=[str(receiver.port)])
            url = receiver.url(host="rebind.example")
            with pytest.raises(InvalidInput, match="an address that is not public"):
                await out.check(url)
            answer = await out.post(url, HEADERS, BODY)
            assert answer.fault == "refused"
            assert "127.0.0.1" not in str(answer.error)
        assert receiver.received == []


@pytest.mark.security(29)
async def test_a_name_that_changes_after_its_submission_is_refused() -> None:
    resolver = Resolver(["1.1.1.1"], ["127.0.0.1"])
    with Receiver() as receiver:
        out = sender(resolve=resolver, ports=[str(receiver.port)])
        url = await out.check(receiver.url(host="rebind.example"))
        answer = await out.post(url, HEADERS, BODY)
        assert receiver.received == []
    assert answer.fault == "refused"
    assert resolver.asked == ["rebind.example"] * 2


@pytest.mark.security(29)
async def test_rebinding_reaches_only_the_address_that_was_checked() -> None:
    """The resolver is asked once for a connection; what it would have said next is not reached."""
    resolver = Resolver(["127.0.0.2"], ["127.0.0.1"])
    with Receiver(host="127.0.0.2") as checked, Receiver(host="127.0.0.1", port=checked.port) as inside:
        out = sender("127.0.0.2", resolve=resolver)
        answer = await out.post(checked.url(host="rebind.example"), HEADERS, BODY)
        assert answer.status == 204
        assert len(checked.received) == 1
        assert checked.received[0].headers["host"] == f"rebind.example:{checked.port}"
        assert inside.received == []
    assert resolver.asked == ["rebind.example"]


@pytest.mark.security(29)
async def test_an_address_is_never_resolved() -> None:
    resolver = Resolver(["127.0.0.1"])
    with Receiver(host="127.0.0.2") as receiver:
        out = sender("127.0.0.2", resolve=resolver)
        assert (await out.post(receiver.url(), HEADERS, BODY)).status == 204
    assert resolver.asked == []


async def test_a_name_is_judged_at_its_submission() -> None:
    out = sender(resolve=Resolver(["1.1.1.1"]))
    assert await out.check("HTTPS://Receiver.example:443/x#y") == "https://receiver.example/x"
    for unknown in (nobody, no_name_server):
        out = sender("inner", resolve=unknown)
        assert await out.check("https://a.example/") == "https://a.example/"
        assert await out.check("http://inner:99/") == "http://inner:99/"
        with pytest.raises(InvalidInput, match="port 99 is not one that callbacks may reach"):
            await out.check("https://a.example:99/")


async def test_a_name_server_that_hangs_holds_up_nobody() -> None:
    async def hanging(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    out = sender(resolve=hanging, timeout=SHORT / 10)
    assert (await out.post("https://a.example/", HEADERS, BODY)).fault == "timeout"


async def test_names_are_resolved_in_threads_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of them than there may be, however many callers have given up."""
    begun, over = threading.Semaphore(0), threading.Event()

    def slow(host: str, *given: object, **more: object) -> list[object]:
        begun.release()
        over.wait()
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolve = SystemResolver(2)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await resolve("slow.example")
    assert begun.acquire(timeout=LONG)
    assert begun.acquire(timeout=LONG)
    assert not begun.acquire(timeout=0)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "resolver")
    over.set()
    assert await resolve("slow.example") == ["127.0.0.1"]


# --- TLS ---


@pytest.fixture
def served(tmp_path: Path) -> ssl.SSLContext:
    certify(tmp_path, "hooks.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context


@pytest.mark.security(29)
async def test_tls_is_verified_against_the_name(served: ssl.SSLContext, tmp_path: Path) -> None:
    resolve = Resolver(["127.0.0.1"])
    with Receiver(tls=served) as receiver:
        out = sender("127.0.0.1", resolve=resolve, tls=ssl.create_default_context(cafile=tmp_path / "ca.pem"))
        assert (await out.post(receiver.url(host="hooks.example"), HEADERS, BODY)).status == 204
        other = await out.post(receiver.url(host="other.example"), HEADERS, BODY)
        number = await out.post(receiver.url(), HEADERS, BODY)
        out = sender("127.0.0.1", resolve=resolve)
        stranger = await out.post(receiver.url(host="hooks.example"), HEADERS, BODY)
        assert len(receiver.received) == 1
    assert other.fault == number.fault == stranger.fault == "tls"
    assert "Hostname mismatch" in str(other.error)
    assert str(stranger.error).startswith("The certificate is not to be trusted: ")


async def test_what_speaks_no_tls(served: ssl.SSLContext) -> None:
    with Receiver() as receiver:
        out = sender("127.0.0.1", timeout=1, tls=ssl.create_default_context())
        answer = await out.post(receiver.url().replace("http:", "https:"), HEADERS, BODY)
    # A receiver that finds no end of a line in the greeting waits for more of it.
    assert answer.fault in {"tls", "unreachable", "timeout"}


@pytest.mark.security(29)
async def test_who_hangs_before_tls_is_agreed_upon_is_let_go_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        out = sender("127.0.0.1", timeout=SHORT, tls=ssl.create_default_context())
        answer = await out.post(f"https://127.0.0.1:{silent.getsockname()[1]}/", HEADERS, BODY)
    assert answer.fault == "timeout"


@pytest.fixture(scope="module", autouse=True)
def what_was_there_before() -> Iterator[None]:
    """Is not looked at again in every collection below."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left_open(what_was_there_before: None) -> Iterator[None]:
    """An unclosed connection is a ResourceWarning once it is collected, and so an error."""
    yield
    gc.collect()
