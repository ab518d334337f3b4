"""Between rows and files, versions and uploads. The order of columns is that of the queries' fragments."""

from __future__ import annotations

from typing import Any

from loadingdock.adapters.records.executor import Row
from loadingdock.adapters.records.values import (
    from_json,
    list_from_json,
    list_to_json,
    micros,
    moment,
    moment_or_none,
    to_json,
)
from loadingdock.core.model.files import Acl, File, State, Step, StepName, Upload, Version, Warnings

# A dictionary answers five times faster than the enumeration's own call, and every row needs one.
_STATES = {state.value: state for state in State}
_ACLS = {acl.value: acl for acl in Acl}
_STEPS = {name.value: name for name in StepName}
_NO_WARNINGS = Warnings()
_FILE_COLUMNS = 13


def file_of(row: Row) -> File:
    (
        id,
        company_id,
        api,
        name,
        created_at,
        namespace,
        alias,
        owner,
        acl,
        expires_at,
        deleted_at,
        attached,
        attributes,
    ) = row[:_FILE_COLUMNS]
    return File(
        id,
        company_id,
        api,
        name,
        moment(created_at),
        version_of(row[_FILE_COLUMNS:]),
        namespace,
        alias,
        owner,
        _ACLS[acl],
        moment_or_none(expires_at),
        moment_or_none(deleted_at),
        attached,
        from_json(attributes),
    )


def version_of(row: Row) -> Version:
    (
        file_id,
        number,
        company_id,
        state,
        created_at,
        updated_at,
        declared_type,
        detected_type,
        size,
        sha256,
        blob_key,
        text_key,
        steps,
        warnings,
        reason,
        attributes,
    ) = row
    return Version(
        file_id,
        number,
        company_id,
        _STATES[state],
        moment(created_at),
        moment(updated_at),
        declared_type,
        detected_type,
        size,
        sha256,
        blob_key,
        text_key,
        () if steps is None else tuple(map(_step_of, list_from_json(steps))),
        _NO_WARNINGS if warnings is None else Warnings(**dict.fromkeys(warnings.split(), True)),
        reason,
        from_json(attributes),
    )


def version_params(version: Version) -> dict[str, Any]:
    return {
        "file_id": version.file_id,
        "number": version.number,
        "state": version.state.value,
        "created_at": micros(version.created_at),
        "updated_at": micros(version.updated_at),
        "declared_type": version.declared_type,
        "detected_type": version.detected_type,
        "size": version.size,
        "sha256": version.sha256,
        "blob_key": version.blob_key,
        "text_key": version.text_key,
        "steps": list_to_json(map(_step_to_json, version.steps)) if version.steps else None,
        "warnings": _warnings(version.warnings),
        "reason": version.reason,
        "attributes": to_json(version.attributes),
    }


def _warnings(warnings: Warnings) -> str | None:
    if warnings == _NO_WARNINGS:
        return None
    return " ".join(name for name in ("empty", "infected", "length") if getattr(warnings, name))


def _step_to_json(step: Step) -> list[Any]:
    return [step.name.value, micros(step.started_at), micros(step.ended_at), step.outcome]


def _step_of(item: list[Any]) -> Step:
    name, started_at, ended_at, outcome = item
    return Step(_STEPS[name], moment(started_at), moment_or_none(ended_at), outcome)


def upload_of(row: Row) -> Upload:
    (
        id,
        company_id,
        file_id,
        version,
        max_size,
        created_at,
        expires_at,
        size,
        content_type,
        sha256,
        allowed_types,
        received,
        staging_key,
        completed_at,
        aborted_at,
        held_until,
    ) = row
    return Upload(
        id,
        company_id,
        file_id,
        version,
        max_size,
        moment(created_at),
        moment(expires_at),
        size,
        content_type,
        sha256,
        tuple(list_from_json(allowed_types)),
        received,
        staging_key,
        moment_or_none(completed_at),
        moment_or_none(aborted_at),
        moment_or_none(held_until),
    )
