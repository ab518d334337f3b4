"""Settings: where they come from, what a wrong one says, and that the references tell of all of them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import SecretStr, ValidationError

from loadingdock.cli.failures import settings_sentence
from loadingdock.cli.program import options
from loadingdock.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings but those of the test."""
    for name in list(os.environ):
        if name.startswith("LOADINGDOCK_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_flags_then_environment_then_file_then_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().region == "us-east-1"
    Path("loadingdock.toml").write_text('region = "file"\nlog_level = "debug"\n')
    assert (Settings().region, Settings().log_level) == ("file", "debug")
    monkeypatch.setenv("LOADINGDOCK_REGION", "environment")
    assert (Settings().region, Settings().log_level) == ("environment", "debug")
    options(set=["region=flag"])
    assert (Settings().region, Settings().log_level) == ("flag", "debug")


def test_flags_take_a_setting_by_any_of_its_names() -> None:
    options(data=Path("elsewhere"), set=["public-url=https://a.example/", "LOADINGDOCK_LOG_LEVEL=error"])
    chosen = Settings()
    assert (chosen.data, chosen.public_url, chosen.log_level) == (Path("elsewhere"), "https://a.example", "error")


def test_lists_and_durations_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADINGDOCK_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32")
    monkeypatch.setenv("LOADINGDOCK_DRAIN", "10")
    monkeypatch.setenv("LOADINGDOCK_LEASE", "2m")
    monkeypatch.setenv("LOADINGDOCK_ORPHAN_GRACE", "PT36H")
    chosen = Settings()
    assert chosen.trusted_proxies == [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    assert (chosen.drain, chosen.lease) == (timedelta(seconds=10), timedelta(minutes=2))
    assert chosen.orphan_grace == timedelta(hours=36)


@pytest.mark.security(26)
def test_secrets_do_not_show() -> None:
    chosen = Settings(rate_limit_url=SecretStr("redis://dock:opensesame@limits"))
    assert "opensesame" not in repr(chosen)
    assert "opensesame" not in chosen.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("max_body", "-1", "LOADINGDOCK_MAX_BODY is wrong: input should be greater than 0"),
        (
            "database_url",
            "mysql://dock:opensesame@db",
            "LOADINGDOCK_DATABASE_URL is wrong: write it like postgresql://",
        ),
        ("public_url", "files.example.com", "LOADINGDOCK_PUBLIC_URL is wrong: give the whole URL"),
        ("store_endpoint", "http://127.0.0.1:99999", "LOADINGDOCK_STORE_ENDPOINT is wrong: give scheme, host and port"),
        ("store_public_endpoint", "https://[::1", "LOADINGDOCK_STORE_PUBLIC_ENDPOINT is wrong: give scheme, host"),
        ("log_level", "opensesame", "LOADINGDOCK_LOG_LEVEL is wrong: input should be 'debug', 'info'"),
        ("trusted_proxies", "here", "LOADINGDOCK_TRUSTED_PROXIES is wrong"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LOADINGDOCK_{name.upper()}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    sentence = settings_sentence(caught.value)
    assert says in sentence
    assert "opensesame" not in sentence


def test_an_unknown_setting_in_the_file_is_named() -> None:
    Path("loadingdock.toml").write_text("publik_url = 1\n")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert settings_sentence(caught.value) == "There is no setting 'publik_url'."


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "metrics.md"])
def test_the_references_say_what_the_code_says(name: str, generator: ModuleType) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == generator.REFERENCES[name](), "make docs"
