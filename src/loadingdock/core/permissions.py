"""What a principal may do: the permissions, how they are granted, and the question whether one is held.

A permission may be narrowed to one namespace by writing it behind a slash: `files:write/rewards`. Without a
namespace it holds in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from loadingdock.core.errors import Forbidden, InvalidInput
from loadingdock.core.model.identity import Principal

ADMIN = "admin"
PERMISSIONS: Mapping[str, str] = MappingProxyType(
    {
        "files:upload": "send files ahead of a conversation (conversation-files)",
        "files:read": "read files",
        "files:write": "send, change and delete files",
        "contacts:load": "load contacts into tables (contact-load)",
        "contacts:read": "read contact tables",
        "transactions:post": "initiate uploads for transactions (file-upload)",
        ADMIN: "all of these, and users, keys and clients of the company",
    }
)
NAMESPACED = frozenset({"files:read", "files:write"})
GROUPS: Mapping[str, frozenset[str]] = MappingProxyType(
    {"default": frozenset({"files:read/rewards", "files:write/rewards"})}
)
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)


def parse_grants(grants: Iterable[str]) -> frozenset[str]:
    """The grants as they are stored, groups by their name. Raises InvalidInput(field="grant") that names what can
    be granted."""
    granted = frozenset(grant.strip() for grant in grants)
    for grant in sorted(granted):
        name, slash, namespace = grant.partition("/")
        if slash and name not in NAMESPACED:
            allowed = " and ".join(sorted(NAMESPACED))
            raise InvalidInput(f"{grant!r} cannot be granted: only {allowed} take a namespace.", field="grant")
        if (name not in PERMISSIONS and name not in GROUPS) or (slash and not _NAMESPACE.fullmatch(namespace)):
            known = ", ".join([*PERMISSIONS, *(f"{name}/NAMESPACE" for name in sorted(NAMESPACED)), *GROUPS])
            raise InvalidInput(f"{grant!r} cannot be granted; these can: {known}.", field="grant")
    return granted


def expand(grants: Iterable[str]) -> frozenset[str]:
    """Groups replaced by what they grant."""
    return frozenset(permission for grant in grants for permission in GROUPS.get(grant, (grant,)))


def holds(permissions: frozenset[str], permission: str, namespace: str | None = None) -> bool:
    return (
        permission in permissions
        or ADMIN in permissions
        or (namespace is not None and f"{permission}/{namespace}" in permissions)
    )


def intersect(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """What both sides grant: `admin` is worth everything, a permission without a namespace any namespace of it."""
    return frozenset(
        permission
        for mine, theirs in ((one, other), (other, one))
        for permission in mine
        if holds(theirs, *_split(permission))
    )


def _split(permission: str) -> tuple[str, str | None]:
    name, slash, namespace = permission.partition("/")
    return name, namespace if slash else None


def permit(principal: Principal, permission: str, namespace: str | None = None) -> None:
    """Raises Forbidden, naming the permission, if the principal does not hold it (for that namespace)."""
    if not holds(principal.permissions, permission, namespace):
        raise Forbidden(permission if namespace is None else f"{permission}/{namespace}")
