-- fragment: version_columns
v.file_id, v.number, v.company_id, v.state, v.created_at, v.updated_at, v.declared_type, v.detected_type, v.size,
v.sha256, v.blob_key, v.text_key, v.steps, v.warnings, v.reason, v.attributes
-- fragment: file_columns
f.id, f.company_id, f.api, f.name, f.created_at, f.namespace, f.alias, f.owner, f.acl, f.expires_at, f.deleted_at,
f.attached, f.attributes
-- fragment: files_with_latest
files f JOIN versions v ON v.company_id = f.company_id AND v.file_id = f.id AND v.number = f.latest

-- name: file_by_id
SELECT {file_columns},
{version_columns}
FROM {files_with_latest}
WHERE f.company_id = :company_id AND f.id = :id;
-- name: file_by_alias
SELECT {file_columns},
{version_columns}
FROM {files_with_latest}
WHERE f.company_id = :company_id AND f.alias = :alias AND f.deleted_at IS NULL;
-- name: file_by_name
SELECT {file_columns},
{version_columns}
FROM {files_with_latest}
WHERE f.company_id = :company_id AND f.namespace = :namespace AND f.name_nfc = :name
AND f.namespace <> '' AND f.deleted_at IS NULL;

-- fragment: file_filter
f.company_id = :company_id
AND f.owner = :owner -- when :owner
AND f.namespace = :namespace -- when :namespace
AND f.namespace <> '' -- when :named
AND f.api = :api -- when :api
AND f.state = :state -- when :state
AND f.state <> 'deleted' -- unless :state
AND f.state <> 'expired' -- unless :expired
AND {contains f.name_folded :search} -- when :search
AND v.company_id = :company_id AND v.sha256 = :sha256 -- when :sha256
-- name: file_page
SELECT {file_columns},
{version_columns}
FROM {files_with_latest}
WHERE {file_filter}
AND (f.created_at, f.id) < (:before, :before_id) -- when :before_id
ORDER BY f.created_at DESC, f.id DESC
LIMIT :limit;
-- name: file_page_at
SELECT {file_columns},
{version_columns}
FROM {files_with_latest}
WHERE {file_filter}
ORDER BY f.created_at DESC, f.id DESC
LIMIT :limit OFFSET :offset;
-- name: file_count
SELECT COUNT(*) FROM {files_with_latest}
WHERE {file_filter};

-- name: file_add
INSERT INTO files (company_id, id, api, namespace, name, name_nfc, name_folded, alias, owner, acl, created_at,
    expires_at, deleted_at, attached, attributes, latest, state)
VALUES (:company_id, :id, :api, :namespace, :name, :name_nfc, :name_folded, :alias, :owner, :acl, :created_at,
    :expires_at, :deleted_at, 0, :attributes, :latest, :state)
ON CONFLICT DO NOTHING;
-- name: file_save
UPDATE files
SET name = :name, name_nfc = :name_nfc, name_folded = :name_folded, owner = :owner, acl = :acl,
    expires_at = :expires_at, deleted_at = :deleted_at, attributes = :attributes,
    state = CASE WHEN CAST(:deleted_at AS BIGINT) IS NOT NULL THEN 'deleted' ELSE (
        SELECT v.state FROM versions v
        WHERE v.company_id = files.company_id AND v.file_id = files.id AND v.number = files.latest
    ) END
WHERE company_id = :company_id AND id = :id AND (CAST(:deleted_at AS BIGINT) IS NOT NULL OR NOT (
    EXISTS (
        SELECT 1 FROM files o
        WHERE o.company_id = files.company_id AND o.namespace = files.namespace AND o.name_nfc = :name_nfc
        AND o.namespace <> '' AND o.deleted_at IS NULL AND o.id <> files.id
    ) OR EXISTS (
        SELECT 1 FROM files o
        WHERE o.company_id = files.company_id AND o.alias = files.alias AND o.alias IS NOT NULL
        AND o.deleted_at IS NULL AND o.id <> files.id
    )
));
-- name: file_set_latest
UPDATE files
SET latest = :number, state = CASE WHEN deleted_at IS NOT NULL THEN 'deleted' ELSE (
    SELECT v.state FROM versions v
    WHERE v.company_id = files.company_id AND v.file_id = files.id AND v.number = :number
) END
WHERE company_id = :company_id AND id = :id AND EXISTS (
    SELECT 1 FROM versions v
    WHERE v.company_id = files.company_id AND v.file_id = files.id AND v.number = :number
);
-- name: file_follow_version
UPDATE files SET state = :state
WHERE company_id = :company_id AND id = :file_id AND latest = :number AND deleted_at IS NULL AND state <> :state;

-- name: version_get
SELECT {version_columns}
FROM versions v WHERE v.company_id = :company_id AND v.file_id = :file_id AND v.number = :number;
-- name: version_list
SELECT {version_columns}
FROM versions v WHERE v.company_id = :company_id AND v.file_id = :file_id
ORDER BY v.number DESC;
-- name: version_add
INSERT INTO versions (company_id, file_id, number, state, created_at, updated_at, declared_type, detected_type, size,
    sha256, blob_key, text_key, steps, warnings, reason, attributes)
VALUES (:company_id, :file_id, :number, :state, :created_at, :updated_at, :declared_type, :detected_type, :size,
    :sha256, :blob_key, :text_key, :steps, :warnings, :reason, :attributes)
ON CONFLICT DO NOTHING;
-- name: version_save
UPDATE versions
SET state = :state, created_at = :created_at, updated_at = :updated_at, declared_type = :declared_type,
    detected_type = :detected_type, size = :size, sha256 = :sha256, blob_key = :blob_key, text_key = :text_key,
    steps = :steps, warnings = :warnings, reason = :reason, attributes = :attributes
WHERE company_id = :company_id AND file_id = :file_id AND number = :number AND state = :was;
-- name: file_exists
SELECT 1 FROM files WHERE company_id = :company_id AND id = :id;

-- A file is locked before it is read, in a statement of its own: one that waits for a row goes on with what it had read
-- of others before it waited.
-- name: file_lock
SELECT 1 FROM files WHERE company_id = :company_id AND id = :id {held};
-- name: file_lock_by_alias
SELECT 1 FROM files WHERE company_id = :company_id AND alias = :alias AND deleted_at IS NULL {held};
-- name: file_lock_by_name
SELECT 1 FROM files
WHERE company_id = :company_id AND namespace = :namespace AND name_nfc = :name
AND namespace <> '' AND deleted_at IS NULL {held};
-- Of those who look for a name in order to take it, the first takes it, and the others find it taken.
-- name: file_name_turn
SELECT {turn_of :name :company_id};

-- name: attachment_add
INSERT INTO attachments (company_id, file_id, reference, created_at)
VALUES (:company_id, :file_id, :reference, :created_at)
ON CONFLICT DO NOTHING;
-- name: attachment_remove
DELETE FROM attachments WHERE company_id = :company_id AND file_id = :file_id AND reference = :reference;
-- name: attachment_count
UPDATE files SET attached = attached + :change WHERE company_id = :company_id AND id = :file_id;
-- name: attachment_list
SELECT file_id, reference, created_at FROM attachments
WHERE company_id = :company_id AND file_id = :file_id
ORDER BY created_at, reference;
