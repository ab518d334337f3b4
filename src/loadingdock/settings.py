"""Every setting of the service, once: its type, its default and what it means.

Sources, strongest first: flags of the command line, environment variables `LOADINGDOCK_*`, `loadingdock.toml` in
the working directory, the defaults here.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Network = IPv4Network | IPv6Network

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _duration(value: object) -> object:
    """`90`, `90s`, `15m`, `6h`, `1d`; anything else is left to pydantic, which reads ISO 8601."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    return value


def _has_a_place(url: str) -> bool:
    """Whether its host and its port can be such."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class WrongSetting(Exception):
    """Settings that can be read, but not used. Says of what and why, and repeats no value that may be a secret."""


class Issuer(BaseModel):
    """An outside issuer of tokens. `jwks` is a URL or a file. The token's `company_claim` names the company, or
    `company` fixes it; `permissions` are what its tokens may do here at most, and `permissions_claim` the claim that
    says which of them a token has. `types` and `algorithms` narrow what its tokens' headers may say."""

    issuer: str
    audience: str
    jwks: str
    company: str | None = None
    company_claim: str | None = None
    permissions: list[str] = Field(default_factory=list)
    permissions_claim: str | None = None
    types: list[str] = Field(default_factory=lambda: ["at+jwt"])
    algorithms: list[str] = Field(default_factory=lambda: ["ES256", "RS256", "PS256", "EdDSA"])


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="LOADINGDOCK_", toml_file="loadingdock.toml", extra="forbid", frozen=True, populate_by_name=True
    )

    data: Path = Field(Path("loadingdock-data"), description="Folder of the embedded database and files.")
    database_url: SecretStr | None = Field(
        None,
        description="Where records lie: `postgresql://user:password@host:5432/database`, or `sqlite:///path/of/file`, a"
        " path from the root. Unset: SQLite in the data folder.",
    )
    database_connections: int = Field(
        10, gt=0, description="Connections to PostgreSQL that a process has at most; one more listens."
    )
    store_url: str | None = Field(
        None, description="Where bytes lie, `s3://bucket/prefix`. Unset: in `files/` in the data folder."
    )
    store_endpoint: str | None = Field(
        None, description="The S3 store's URL, `https://s3.example.com`. Unset: AWS, in the store's region."
    )
    store_public_endpoint: str | None = Field(
        None, description="The same as clients reach it, who are sent there. Unset: as we do."
    )
    store_uploads: Literal["through", "direct"] = Field(
        "through", description="Whether clients with an upload URL send their bytes `through` us or `direct` to S3."
    )
    store_event_secret: SecretStr | None = Field(
        None,
        description="Bearer token with which the store tells of arrivals at `/store-events`. Unset: nobody may.",
    )
    store_region: str = Field("us-east-1", description="The bucket's region.")
    store_access_key: str | None = Field(
        None, description="Access key of the store. Unset: `AWS_ACCESS_KEY_ID`, else the role of this machine."
    )
    store_secret_key: SecretStr | None = Field(None, description="The secret that goes with it.")
    store_addressing: Literal["path", "virtual"] = Field(
        "path", description="Where a URL has the bucket: first in its `path`, or before the host (`virtual`)."
    )
    store_encryption: Literal["none", "AES256", "aws:kms"] = Field(
        "none", description="The server-side encryption that the store is asked for."
    )
    store_kms_key: str | None = Field(None, description="The key for `aws:kms`. Unset: the store's own default.")
    store_ca: Path | None = Field(None, description="Certificate authorities (PEM) that the store's may be from too.")
    store_timeout: Duration = Field(
        timedelta(seconds=30), description="How long the store may be silent in a request before that has failed."
    )
    store_retries: int = Field(3, ge=0, le=20, description="Further attempts at a request that the store failed.")
    scanner_url: str | None = Field(
        None,
        description="`clamd://host:port` or `clamd:///path/to/socket`; several, with commas between, share the work. "
        "Unset: the built-in local rules, no antivirus.",
    )
    scanner_max_stream: int = Field(
        100 * 1024 * 1024, gt=0, description="clamd's StreamMaxLength, bytes; larger files are unscannable."
    )
    scanner_max_entry: int = Field(
        100 * 1024 * 1024,
        gt=0,
        description="clamd's MaxFileSize, bytes; larger files, and archives with larger entries, are unscannable.",
    )
    scanner_timeout: float = Field(120.0, gt=0, description="Seconds that one clamd may take for a file.")
    rules: Path | None = Field(None, description="Folder of further YARA rules (*.yar) for the built-in scanner.")
    public_url: str = Field(
        "http://127.0.0.1:8080", description="How clients reach the service, without a slash at the end."
    )
    rate_limit_url: SecretStr | None = Field(
        None, description="Where rate limits are counted, `redis://...`. Unset: in this process."
    )
    trusted_proxies: Annotated[list[Network], NoDecode] = Field(
        default_factory=list, description="Networks whose X-Forwarded-For names the client's address."
    )
    issuers: list[Issuer] = Field(default_factory=list, description="Outside issuers of tokens (JSON list).")
    region: str = Field("us-east-1", description="Region in presigned URLs.")

    callback_allow: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Hosts and networks that callbacks may reach besides public addresses, on any port:"
        " `hooks.internal`, `10.1.0.0/16`.",
    )
    callback_ports: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["80", "443", "8080", "8443"],
        description="Ports of public addresses that callbacks may reach; `8000-8999` is possible too.",
    )
    callback_timeout: Duration = Field(
        timedelta(seconds=15), description="How long one attempt to deliver a callback may take."
    )

    max_body: int = Field(64 * 1024**3, gt=0, description="The largest file that any company may send, bytes.")
    body_deadline: Duration = Field(timedelta(hours=6), description="The longest that one request's body may take.")
    body_min_rate: int = Field(1024, ge=0, description="Bytes a second below which a sender is cut off.")
    header_deadline: Duration = Field(timedelta(seconds=20), description="The longest that a request's head may take.")
    drain: Duration = Field(timedelta(seconds=25), description="Time for requests and jobs to end after SIGTERM.")

    worker_concurrency: int = Field(4, gt=0, description="Jobs that one worker runs at once.")
    lease: Duration = Field(timedelta(seconds=20), description="How long a job is its worker's without a heartbeat.")
    max_attempts: int = Field(8, gt=0, description="Attempts before a job is dead.")
    sweep_every: Duration = Field(
        timedelta(minutes=1), description="How often expiry and abandoned uploads are looked at."
    )
    orphan_grace: Duration = Field(
        timedelta(hours=24), description="Age from which bytes without a record are removed."
    )

    text_limit: int = Field(1_000_000, gt=0, description="Characters of extracted text that are kept.")
    text_timeout: float = Field(60.0, gt=0, description="Seconds that extracting one file's text may take.")
    detector: Literal["libmagic", "magika"] = Field("libmagic", description="What detects types; magika is an extra.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="`json`: an object a line; `text`: for a terminal.")

    @field_validator("trusted_proxies", "callback_allow", "callback_ports", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        """A list in an environment variable is written with commas."""
        return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(
            ("postgresql://", "postgres://", "sqlite:///")
        ):
            raise ValueError("write it like postgresql://user:password@host:5432/database, or sqlite:///path/of/file")
        return value

    @field_validator("store_url")
    @classmethod
    def _known_store(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("s3://"):
            raise ValueError("write it like s3://bucket/prefix, or leave it unset for a folder")
        return value

    @field_validator("store_endpoint", "store_public_endpoint")
    @classmethod
    def _whole_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not (re.fullmatch(r"https?://[^/?#@]+/?", value) and _has_a_place(value)):
            raise ValueError("give scheme, host and port alone, such as https://s3.example.com")
        return value and value.rstrip("/")

    @model_validator(mode="after")
    def _direct_to_a_store(self) -> Self:
        if self.store_uploads == "direct" and self.store_url is None:
            raise ValueError("store_uploads: direct needs a store that clients reach; set store_url too")
        return self

    @field_validator("public_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("give the whole URL, such as https://files.example.com")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
