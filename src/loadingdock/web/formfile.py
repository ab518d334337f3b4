"""Forms that bring one file, as the part `file`, and say something of it in their fields.

The fields may stand before the file and behind it. So its bytes are taken in while they come, and kept only when the
whole form is known to be right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.requests import Request

from loadingdock.core.errors import DockError, InvalidInput
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.model.identity import Principal
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import MAX_SIZE
from loadingdock.web.body import Body
from loadingdock.web.digests import claimed_digests
from loadingdock.web.multipart import DEFAULT_LIMITS, FilePart, Form, receive_form
from loadingdock.web.services import Services


class FileMissing(InvalidInput):
    """A form that was meant to bring a file and did not."""

    code = "file_missing"

    def __init__(self, message: str = "The form has no part named file; send the file as one.") -> None:
        super().__init__(message, field="file")


class FileRepeated(InvalidInput):
    code = "file_repeated"

    def __init__(
        self, message: str = "The form has more than one part named file; send each file in a request of its own."
    ) -> None:
        super().__init__(message, field="file")


ERRORS: tuple[DockError, ...] = (FileMissing(), FileRepeated())

Declare = Callable[[FilePart], Declaration]
Check = Callable[[Form], object]


@dataclass(frozen=True, slots=True)
class FormFile:
    """A whole form. The file's bytes are durable, and whoever has them publishes or discards them."""

    form: Form
    declaration: Declaration
    blob: BlobRef


async def receive_form_file(
    services: Services, principal: Principal, request: Request, declare: Declare, check: Check | None = None
) -> FormFile:
    """Reads the form. `declare` says what is known of the file when its part begins: the wire's own terms, without
    digests, which the request's headers claim. `check` looks at all fields before the bytes are kept. What either
    raises is raised here; so are FileMissing, FileRepeated, and what `Body`, `receive_form` and `Uploads` raise."""
    largest = min(services.limits.max_body, principal.company.get(MAX_SIZE))
    body = Body(request, max_size=largest + DEFAULT_LIMITS.room, pace=services.limits.pace)
    incoming = _Incoming(services, principal, claimed_digests(request.headers, of_content=False), declare, check)
    form = await receive_form(body, request.headers.get("content-type"), incoming.take)
    if incoming.received is None:
        if form.all("file"):
            raise FileMissing("The part file has no file name, so it is a field and no file.")
        raise FileMissing
    return FormFile(form, *incoming.received)


class _Incoming:
    def __init__(
        self,
        services: Services,
        principal: Principal,
        digests: tuple[Digest, ...],
        declare: Declare,
        check: Check | None,
    ) -> None:
        self.received: tuple[Declaration, BlobRef] | None = None
        self._uploads = services.uploads
        self._principal = principal
        self._digests = digests
        self._declare = declare
        self._check = check

    async def take(self, part: FilePart) -> None:
        if part.field != "file":
            raise FileMissing(f"The file came as part {part.field[:80]!r}; name the part file.")
        declaration = self._uploads.declare(self._principal, replace(self._declare(part), digests=self._digests))
        async with self._uploads.receiving(declaration) as receiver:
            async for batch in part.batches():
                await receiver.write(batch)
            # The form has ended here, and nothing is durable yet.
            if part.form.all("file"):
                raise FileRepeated
            if self._check is not None:
                self._check(part.form)
            self.received = declaration, await receiver.finish()
