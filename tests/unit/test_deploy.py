"""What is in `deploy/` names settings, commands and paths that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadingdock.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
WORK = ("work", "--host", "0.0.0.0", "--port", "8080")
COMMANDS = {("serve",), ("serve", "--host", "0.0.0.0"), ("serve", "--host", "0.0.0.0", "--no-worker"), ("work",), WORK}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_exists(path: Path) -> None:
    named = set(re.findall(r"LOADINGDOCK_([A-Z_]+)", path.read_text())) - {"NAME"}
    assert named <= {name.upper() for name in Settings.model_fields}


def containers(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("containers", [])
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from containers(each)


def test_pods_run_what_there_is_as_nobody_on_a_read_only_root() -> None:
    found = []
    for path in (DEPLOY / "kubernetes").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for container in containers(document):
                found.append(tuple(container["args"]))
                assert container["securityContext"]["readOnlyRootFilesystem"]
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/var/lib/loadingdock", "/tmp"}
                assert document["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert sorted(found) == [("serve", "--host", "0.0.0.0", "--no-worker"), WORK]


def test_compose_runs_what_there_is() -> None:
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name in ("web", "worker"):
        assert tuple(composed[name]["command"]) in COMMANDS
        assert composed[name]["read_only"]
        assert (DEPLOY / composed[name]["build"]["context"] / composed[name]["build"]["dockerfile"]).is_file()


def test_units_run_what_there_is() -> None:
    for path in (DEPLOY / "systemd").glob("*.service"):
        command = re.findall(r"^ExecStart=/opt/loadingdock/bin/loadingdock (.*)$", path.read_text(), re.MULTILINE)
        assert [tuple(line.split()) in COMMANDS for line in command] == [True]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_given_longer_to_end_than_it_takes(path: Path) -> None:
    drain = Settings.model_fields["drain"].default.total_seconds()
    times = re.findall(
        r"(?:stop_grace_period|terminationGracePeriodSeconds|TimeoutStopSec)[:=] ?(\d+)", path.read_text()
    )
    assert all(int(seconds) > drain for seconds in times)
