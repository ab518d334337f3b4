"""What the doctor looks at outside the service: settings, folder, file system, limits, and the public address."""

from __future__ import annotations

import difflib
import os
import resource
import stat
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from loadingdock.core.diagnosis import Check, fail, ok, warn
from loadingdock.settings import Settings

_PREFIX = "LOADINGDOCK_"
#: Variables of ours that are no settings: how the tests are run.
_KNOWN = frozenset({"LOADINGDOCK_REQUIRE"})
# SQLite's WAL needs memory shared between processes, which these do not give (https://sqlite.org/wal.html).
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "glusterfs", "lustre", "fuse.sshfs"})
_GONE_WITH_POWER = frozenset({"tmpfs", "ramfs"})
_JOURNALLED_BY_OPTION = frozenset({"ext3", "ext4"})


def settings(chosen: Settings) -> Check:
    names = {_PREFIX + name.upper() for name in Settings.model_fields} | _KNOWN
    for variable in sorted(os.environ):
        if variable.startswith(_PREFIX) and variable not in names:
            near = difflib.get_close_matches(variable, names, 1)
            meant = f" Is {near[0]} meant?" if near else ""
            return warn("settings", f"the environment has {variable}, which nothing reads", f"Remove it.{meant}")
    given = sorted(chosen.model_fields_set)
    source = " and loadingdock.toml" if Path("loadingdock.toml").exists() else ""
    return ok("settings", f"read from the environment{source}: {', '.join(given) or 'every default'}")


def folder(data: Path) -> Check:
    """Ours alone, and writable."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return fail("data folder", f"{data}: {error.strerror}", "Make it, or set LOADINGDOCK_DATA to another folder.")
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return fail("data folder", f"{data} is not writable for this user", f"chown it to user {os.geteuid()}.")
    found = data.stat()
    if found.st_uid != os.geteuid():
        return warn("data folder", f"{data} belongs to user {found.st_uid}, we are {os.geteuid()}", "Run as its owner.")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warn(
            "data folder", f"{data} is open to other users ({stat.filemode(found.st_mode)})", f"chmod 700 {data}"
        )
    return ok("data folder", f"{data.resolve()}, for this user alone")


def file_system(data: Path) -> Check:
    kind, source, options = mounted(data)
    detail = f"{kind} on {source}"
    if kind in _NETWORK:
        return fail("file system", f"{detail} is a network file system", "Put the data folder on a local disk.")
    if kind in _GONE_WITH_POWER:
        return warn("file system", f"{detail} is memory", "Put the data folder on a disk: a restart loses all of it.")
    if kind == "overlay":
        return warn("file system", f"{detail} is a container's own layer", "Put the data folder on a volume.")
    if {"nobarrier", "barrier=0"} & options:
        return fail(
            "file system", f"{detail} is mounted without barriers", "Mount it with barriers, as is the default."
        )
    if kind in _JOURNALLED_BY_OPTION and not _has_journal(Path(source).name):
        return warn(
            "file system",
            f"{detail} has no journal",
            "Use one with a journal: after a power failure this one needs a repair that may lose files.",
        )
    return ok("file system", detail)


def mounted(path: Path) -> tuple[str, str, frozenset[str]]:
    """(type, source, options) of the file system that holds the path, by proc(5) mountinfo."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return "unknown", "unknown", frozenset()
    for line in reversed(lines):  # the last mount on a point is the one that is seen
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if before[2] == wanted:
            return after[0], after[1], frozenset((*before[5].split(","), *after[2].split(",")))
    return "unknown", "unknown", frozenset()


def _has_journal(device: str) -> bool:
    """By the journal's own folder in /proc. Where the kernel does not show it, it is taken to be there."""
    shown = Path("/proc/fs/ext4", device)
    return not shown.exists() or any(Path("/proc/fs/jbd2").glob(f"{device}-*"))


def open_files() -> Check:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    advice = "Raise it: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit."
    if limit < 256:
        return fail("open files", f"at most {limit}", advice)
    if limit < 1024:
        return warn("open files", f"at most {limit}", advice)
    return ok("open files", f"at most {limit}" + (f", could be {most}" if most > limit else ""))


def public_url(url: str, *, given: bool) -> Check:
    """Whether clients elsewhere could use the URLs that it hands out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.query or parts.fragment:
        return fail("public URL", f"{url} names no host, or too much", "Give scheme, host and, at most, port and path.")
    loopback = host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
    if _is_address(host) and ip_address(host).is_unspecified:
        return fail("public URL", f"{url} is no address that a client can reach", "Name the host by its name.")
    if loopback:
        said = "" if given else ", the default"
        return warn("public URL", f"{url}{said}: of use on this machine alone", "Set LOADINGDOCK_PUBLIC_URL.")
    if parts.scheme == "http":
        return warn("public URL", f"{url} sends passwords and files unencrypted", "Put TLS in front and name https://.")
    return ok("public URL", f"{url}{_answers(url)}")


def _answers(url: str) -> str:
    import httpx

    try:
        alive = httpx.get(f"{url}/healthz", timeout=3).status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL):
        return "; nothing answers there now"
    return "; the service answers there" if alive else "; something else answers there"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
