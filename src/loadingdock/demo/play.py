"""The play: a service is started, files and contacts go through its APIs, it is killed in the middle, and everything is
counted."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadingdock.core.diagnosis import eicar
from loadingdock.demo import curl, samples
from loadingdock.demo.clients import Api, ConversationFiles, FileService, FileUpload, Management, SignedUrl
from loadingdock.demo.contacts import contacts
from loadingdock.demo.kill import kill_in_the_middle
from loadingdock.demo.service import DemoFailed, Throwaway
from loadingdock.demo.show import Show

_COMPANY = "acme"
_SENTENCE = "The crate with the blue label goes to dock seven."

_MAKERS: Mapping[str, Callable[[str], bytes]] = {
    ".pdf": samples.pdf,
    ".png": lambda _: samples.png(),
    ".docx": samples.docx,
    ".xlsx": samples.xlsx,
}
# The namespace `rewards` takes images only, so there the test file travels inside one.
_INFECTED: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "conversation-files": ("invoice.txt", eicar),
    "signed-url": ("notes.txt", eicar),
    "file-upload": ("receipt.txt", eicar),
    "file-service": ("poisoned.png", samples.infected_png),
}


@dataclass(frozen=True, slots=True)
class Sent:
    api: Api
    id: str
    name: str
    content: bytes


def play(as_json: bool) -> bool:
    """True if everything passed."""
    show = Show(quiet=as_json)
    with tempfile.TemporaryDirectory(prefix="loadingdock-demo-") as folder:
        service = Throwaway(Path(folder))
        try:
            _play(show, service, Path(folder))
        except DemoFailed as error:
            show.check("the demo goes on", False, str(error).partition("\n")[0])
        except KeyboardInterrupt:
            show.check("the demo was let go on", False, "interrupted")
        finally:
            service.kill()
            curl.hang_up()
            if not show.passed and not as_json:
                show.say(f"\nThe service's log:\n{service.log()}")
    show.summary()
    if as_json:
        print(json.dumps(show.as_data(), ensure_ascii=False), flush=True)
    return show.passed


def _play(show: Show, service: Throwaway, folder: Path) -> None:
    show.act("A throwaway service")
    if not curl.have_curl():
        show.say("There is no curl here: httpx sends what the curl commands say.")
    show.say(f"$ cd {folder}")
    show.check("it is ready", True, f"after {service.start():.1f} s, at {service.url}")
    desk, apis = _prepare(show, service)
    sent = []
    for api in apis:
        show.act(f"{api.name}: a real {Path(api.sample).suffix[1:].upper()}")
        sent.append(_send(show, api, folder, api.sample, _MAKERS[Path(api.sample).suffix](_SENTENCE)))
        _read(show, desk, sent[-1])
    _particulars(show, desk, apis, sent, folder)
    show.act("An infected file on every API")
    for api in apis:
        name, make = _INFECTED[api.name]
        _refused(show, desk, _send(show, api, folder, name, make()))
    contacts(show, service, _COMPANY, folder)
    show.act("kill -9 in the middle")
    kill_in_the_middle(show, service, desk, apis)
    show.act("Every byte accounted for")
    for one in sent:
        back = desk.content(one.id)
        show.check(f"{one.name} is the file that was sent", back.body == one.content, f"{len(one.content)} bytes")
    code, found = service.command("fsck")
    checked = found.get("checked", {})
    show.check(
        "fsck finds nothing wrong", code == 0, f"{checked.get('versions')} versions, {checked.get('bytes')} bytes"
    )
    code, seconds = service.stop()
    show.check("it ends on SIGTERM", code == 0 and seconds < 30, f"{seconds:.1f} s")


def _prepare(show: Show, service: Throwaway) -> tuple[Management, tuple[Api, ...]]:
    """What an operator types before the first client can come."""
    password = secrets.token_urlsafe(12)

    def command(*words: str, secret: str | None = None) -> dict[str, str]:
        shown = f"echo {secret} | " if secret else ""
        show.say(f"$ {shown}loadingdock {' '.join(words)}")
        code, answer = service.command(*words, secret=secret)
        if code:
            raise DemoFailed(str(answer.get("error", {}).get("message", answer)))
        return answer

    command("company", "add", _COMPANY, "--name", "Acme")
    clerk, till = f"clerk@{_COMPANY}", f"till@{_COMPANY}"
    command("user", "add", clerk, "--password-stdin", "--grant", "files:upload", secret=password)
    command("user", "add", till, "--password-stdin", "--grant", "default", secret=password)
    key = command("key", "add", _COMPANY, "--grant", "files:read", "--grant", "files:write")["api_key"]
    client = command("client", "add", _COMPANY, "--grant", "transactions:post")
    desk = Management(service.url, key)
    show.check("company, users, key and client are there", True)
    return desk, (
        ConversationFiles(service.url, clerk, password, desk),
        SignedUrl(service.url, key, desk),
        FileUpload(service.url, client["client_id"], client["client_secret"], client["organization_id"], desk),
        FileService(service.url, till, password, desk),
    )


def _send(show: Show, api: Api, folder: Path, name: str, content: bytes) -> Sent:
    file = folder / name
    file.write_bytes(content)
    return Sent(api, api.send(show, file), name, content)


def _read(show: Show, desk: Management, sent: Sent) -> None:
    state = desk.settled(sent.id)
    show.check("it is scanned and ready", state == "ready", state)
    back = sent.api.read(show, sent.id, sent.name)
    same = back.status == 200 and back.body == sent.content
    show.check("what comes back is what was sent", same, f"{len(back.body)} of {len(sent.content)} bytes")


def _refused(show: Show, desk: Management, sent: Sent) -> None:
    state = desk.settled(sent.id)
    show.check(f"{sent.api.name}: {sent.name} is found infected", state == "infected", state)
    back = sent.api.read(show, sent.id, sent.name)
    hidden = back.status >= 400 and sent.content not in back.body
    show.check(f"{sent.api.name}: {sent.name} cannot be read", hidden, str(back.status))


def _particulars(show: Show, desk: Management, apis: tuple[Api, ...], sent: list[Sent], folder: Path) -> None:
    """What one API does and the others do not."""
    show.act("Text and versions")
    for api, one in zip(apis, sent, strict=True):
        if isinstance(api, SignedUrl):
            show.check("the document's text is found", _SENTENCE in api.text(show, one.id))
        elif isinstance(api, FileService):
            again = _send(show, api, folder, one.name, samples.png(32, 32))
            state = desk.settled(again.id)
            back = api.read(show, again.id, again.name)
            new = state == "ready" and back.body == again.content
            show.check("the same name again is a new version", new and again.id == one.id)
            sent[sent.index(one)] = again
