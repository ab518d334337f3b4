"""The act in which the service is killed: after an acknowledgement on every API, in the middle of a body on each."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from loadingdock.demo import samples
from loadingdock.demo.clients import Api, Management, Parcel
from loadingdock.demo.service import Throwaway
from loadingdock.demo.show import Show

_SIZE = 4 << 20
_PIECE = 64 << 10
_PATIENCE = 30.0


@dataclass
class Delivery:
    """A body on its way. With `halfway` given it stops there, says so, and goes on when `go_on` is set."""

    api: Api
    name: str
    parcel: Parcel
    content: bytes
    halfway: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    status: int = 0

    def body(self, *, pause: bool) -> Iterator[bytes]:
        yield self.parcel.before
        for start in range(0, len(self.content), _PIECE):
            if pause and start >= len(self.content) // 2:
                pause = False
                self.halfway.set()
                self.go_on.wait(_PATIENCE)
            yield self.content[start : start + _PIECE]
        yield self.parcel.after

    def send(self, *, pause: bool = False) -> int:
        """The answer's status; 0 if there was none."""
        parcel = self.parcel
        length = len(parcel.before) + len(self.content) + len(parcel.after)
        try:
            with httpx.Client(timeout=_PATIENCE, trust_env=False) as client:
                self.status = client.request(
                    parcel.method,
                    parcel.url,
                    headers={**parcel.headers, "Content-Length": str(length)},
                    auth=parcel.login,
                    content=self.body(pause=pause),
                ).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            self.status = 0
        return self.status


def kill_in_the_middle(show: Show, service: Throwaway, desk: Management, apis: Sequence[Api]) -> None:
    done = [_delivery(api, "kept") for api in apis]
    cut = [_delivery(api, "cut") for api in apis]
    threads = [threading.Thread(target=one.send, kwargs={"pause": True}, daemon=True) for one in cut]
    for thread in threads:
        thread.start()
    halfway = [one.halfway.wait(_PATIENCE) for one in cut]
    show.check("uploads stand halfway on every API", all(halfway), f"{sum(halfway)} of {len(cut)}")
    for one in done:
        show.check(f"{one.api.name}: {one.name} is acknowledged", one.send() == 200, str(one.status))
    show.say(f"$ kill -9 -- -{service.pid}")
    service.kill()  # at once after the last acknowledgement, and before it was looked into
    for one, thread in zip(cut, threads, strict=True):
        one.go_on.set()
        thread.join(_PATIENCE)
    unanswered = [one.status == 0 for one in cut]
    show.check("what was cut off got no answer", all(unanswered), f"{sum(unanswered)} of {len(cut)}")
    show.check("it starts again", True, f"after {service.start():.1f} s")
    for one in done:
        _survived(show, desk, one)
    for one in cut:
        _left_nothing(show, desk, one)


def _survived(show: Show, desk: Management, one: Delivery) -> None:
    id = one.parcel.id or one.api.find(one.name)
    state = desk.settled(id)
    back = desk.content(id)
    same = state == "ready" and back.body == one.content
    show.check(f"{one.api.name}: {one.name} survived whole", same, f"{state}, {len(back.body)} bytes")


def _left_nothing(show: Show, desk: Management, one: Delivery) -> None:
    """A form leaves no file behind; a promise stays open, and the same URL takes the bytes now."""
    if not one.parcel.id:
        id = one.api.find(one.name)
        show.check(f"{one.api.name}: {one.name} left nothing behind", not id, id)
        return
    show.check(f"{one.api.name}: the same URL takes {one.name} again", one.send() == 200, str(one.status))
    state = desk.settled(one.parcel.id)
    same = state == "ready" and desk.content(one.parcel.id).body == one.content
    show.check(f"{one.api.name}: {one.name} is whole", same, state)


def _delivery(api: Api, stem: str) -> Delivery:
    """A large file of a type that the API takes, different each time."""
    name = stem + (".png" if Path(api.sample).suffix == ".png" else ".pdf")
    filling = secrets.token_hex(_SIZE // 2).encode()
    content = samples.png(comment=filling) if name.endswith(".png") else samples.pdf(stem, filling)
    return Delivery(api, name, api.parcel(name), content)
