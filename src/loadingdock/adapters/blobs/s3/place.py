"""Where the bucket is, how it is addressed and by whom: what every request to an S3 store needs to know."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

# A bucket's name by AWS's rules, and prefixes that no signature has to encode.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


# Asked before every request, from any thread; what it returns may change (instance roles).
Provider = Callable[[], Credentials]


@dataclass(frozen=True, slots=True)
class Place:
    """A prefix in a bucket. `endpoint` is the store's URL without the bucket, `public_endpoint` that for clients of
    ours where they reach it by another one; `virtual_hosted`: the bucket's name
    goes before its host, else before the path. `encryption` is an x-amz-server-side-encryption, with `kms_key` where
    that takes one. `timeout`: what the store may take to connect or between two bytes."""

    bucket: str
    prefix: str
    endpoint: str
    region: str = "us-east-1"
    public_endpoint: str | None = None
    virtual_hosted: bool = False
    encryption: str | None = None
    kms_key: str | None = None
    ca: Path | None = None
    timeout: timedelta = timedelta(seconds=30)
    retries: int = 3

    @property
    def base(self) -> str:
        """The URL that a key is appended to, after a slash."""
        return self._bucket_at(self.endpoint)

    @property
    def public_base(self) -> str:
        """The same for clients of ours."""
        return self._bucket_at(self.public_endpoint or self.endpoint)

    def _bucket_at(self, endpoint: str) -> str:
        if not self.virtual_hosted:
            return f"{endpoint}/{self.bucket}"
        scheme, _, host = endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{host}"

    def path(self, name: str) -> str:
        """The object's key in the bucket."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def encrypted(self) -> dict[str, str]:
        """The headers with which an object is begun."""
        if self.encryption is None:
            return {}
        headers = {"x-amz-server-side-encryption": self.encryption}
        if self.kms_key is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self.kms_key
        return headers

    def encrypts(self, action: str) -> bool:
        """Whether the store is asked to, where an object is begun with this S3 action."""
        return self.encryption is not None and action == "s3:PutObject"

    def __str__(self) -> str:
        return f"s3://{self.path_of_prefix} at {self.endpoint}"

    @property
    def path_of_prefix(self) -> str:
        return f"{self.bucket}/{self.prefix}".rstrip("/")


def parse(url: str) -> tuple[str, str]:
    """(bucket, prefix) of `s3://bucket/prefix`. Raises ValueError with a sentence."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise ValueError("write it like s3://bucket/prefix; endpoint, keys and region are settings of their own")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ValueError("the prefix has letters, digits and . _ ~ - only, in segments that are neither . nor ..")
    return parts.netloc, prefix


def provider(access_key: str | None, secret_key: str | None, token: str | None = None) -> Provider:
    """The keys given; without them those of the environment; without these what botocore finds on this machine
    (profiles, containers, instance roles), if it is installed. Raises ValueError where there are none."""
    if access_key and secret_key:
        fixed = Credentials(access_key, secret_key, token)
        return lambda: fixed
    if access_key or secret_key:
        raise ValueError("an access key and its secret go together; set both or neither")
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        found = Credentials(
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN"),
        )
        return lambda: found
    return _machine()


def _machine() -> Provider:
    try:
        session = import_module("botocore.session").Session()
    except ImportError:
        raise ValueError(
            "there are no keys; set store_access_key and store_secret_key, or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or install loadingdock[aws] for the roles of this machine"
        ) from None
    kept = session.get_credentials()
    if kept is None:
        raise ValueError("there are no keys, and this machine has no role; set store_access_key and store_secret_key")

    def current() -> Credentials:
        frozen = kept.get_frozen_credentials()  # renews them in time, under a lock of its own
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return current
