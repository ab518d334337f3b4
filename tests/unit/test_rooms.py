"""The rooms of the house: imports point one way, and whoever builds a door into the wrong one is told."""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import api
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import Contract

ROOT = Path(__file__).parents[2]
KINDS: dict[str, type[Contract]] = {
    "layers": LayersContract,
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
}
CONFIGURATION = api.read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS: dict[str, dict[str, Any]] = {options["id"]: options for options in CONFIGURATION["contracts_options"]}

# For each contract, imports that it must notice: (importer, imported).
VIOLATIONS = {
    "layers": [
        ("core.files", "web.context"),
        ("web.app", "dialects.signed_url.wire"),
        ("worker", "dialects.signed_url"),
        ("dialects.signed_url.routes", "bootstrap"),
        ("bootstrap", "cli.serve"),
    ],
    "adapters-behind-ports": [
        ("core.uploads", "adapters.clock"),
        ("web.app", "adapters.blobs.local"),
        ("dialects.signed_url.routes", "adapters.records.sqlite"),
        ("worker", "bootstrap"),
    ],
    "adapters": [("adapters.clock", "settings"), ("adapters.presign", "web.objects")],
    "cli-to-adapters": [("cli.doctor", "adapters.records.sqlite")],
    "dialects-apart": [("dialects.signed_url.wire", "dialects.file_upload.wire")],
    "dialects-below-the-application": [("dialects.file_service.routes", "web.app")],
    "worker-without-web": [("worker", "web.services")],
    "testing": [("testing", "adapters.clock"), ("testing", "settings")],
    "testing-unused": [("bootstrap", "testing")],
    "leaves": [("settings", "core.model"), ("logs", "web.context")],
    "demo": [("demo", "bootstrap"), ("demo", "web.services")],
    "core-below-all": [("core.access", "settings"), ("core.audit", "logs")],
}


@pytest.fixture(scope="module")
def house() -> grimp.ImportGraph:
    return grimp.build_graph("loadingdock", include_external_packages=True, cache_dir=None)


def kept(id: str, graph: grimp.ImportGraph) -> bool:
    options = CONTRACTS[id]
    contract = KINDS[options["type"]](
        name=options["name"], session_options=CONFIGURATION["session_options"], contract_options=deepcopy(options)
    )
    return contract.check(graph=deepcopy(graph), verbose=False).kept


@pytest.mark.parametrize("id", CONTRACTS)
def test_imports_point_one_way(id: str, house: grimp.ImportGraph) -> None:
    assert kept(id, house), f"run lint-imports --contract {id}"


@pytest.mark.parametrize(
    ("id", "importer", "imported"), [(id, *pair) for id, pairs in VIOLATIONS.items() for pair in pairs]
)
def test_a_wrong_import_is_noticed(id: str, importer: str, imported: str, house: grimp.ImportGraph) -> None:
    graph = deepcopy(house)
    importer, imported = f"loadingdock.{importer}", f"loadingdock.{imported}"
    assert {importer, imported} <= graph.modules, "this test names a module that is no more"
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    assert not kept(id, graph)


def test_every_contract_is_shown_to_notice() -> None:
    assert VIOLATIONS.keys() == CONTRACTS.keys()


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("loadingdock.core", frozenset[str]()),
        ("loadingdock.testing", frozenset({"pytest", "hypothesis"})),
    ],
)
def test_rooms_without_third_parties(room: str, others: frozenset[str], house: grimp.ImportGraph) -> None:
    assert third_parties(room, house) <= others


def test_a_third_party_in_the_core_is_noticed(house: grimp.ImportGraph) -> None:
    graph = deepcopy(house)
    graph.add_import(
        importer="loadingdock.core.files", imported="pydantic", line_number=1, line_contents="import pydantic"
    )
    assert third_parties("loadingdock.core", graph) == {"pydantic"}


def third_parties(room: str, graph: grimp.ImportGraph) -> set[str]:
    imported = {
        target
        for module in {room, *graph.find_descendants(room)}
        for target in graph.find_modules_directly_imported_by(module)
        if not target.startswith("loadingdock")
    }
    return imported - sys.stdlib_module_names


def test_only_bootstrap_names_adapters(house: grimp.ImportGraph) -> None:
    adapters = {"loadingdock.adapters", *house.find_descendants("loadingdock.adapters")}
    importers = {importer for module in adapters for importer in house.find_modules_that_directly_import(module)}
    assert {importer.rpartition(".")[0] for importer in importers - adapters} == {"loadingdock.bootstrap"}
