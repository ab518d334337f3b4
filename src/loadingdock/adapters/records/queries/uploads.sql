-- fragment: upload_columns
id, company_id, file_id, version, max_size, created_at, expires_at, size, content_type, sha256, allowed_types,
received, staging_key, completed_at, aborted_at, held_until
-- name: upload_get
SELECT {upload_columns}
FROM uploads WHERE company_id = :company_id AND id = :id {held};
-- name: upload_of_file
SELECT {upload_columns}
FROM uploads WHERE company_id = :company_id AND file_id = :file_id AND version = :version
ORDER BY created_at DESC, id DESC
LIMIT 1;
-- name: upload_add
INSERT INTO uploads ({upload_columns})
VALUES (:id, :company_id, :file_id, :version, :max_size, :created_at, :expires_at, :size, :content_type, :sha256,
    :allowed_types, :received, :staging_key, :completed_at, :aborted_at, :held_until)
ON CONFLICT DO NOTHING;
-- name: upload_advance
UPDATE uploads SET received = :received, staging_key = :staging_key, size = :size
WHERE company_id = :company_id AND id = :id AND received = :was AND completed_at IS NULL AND aborted_at IS NULL;
-- name: upload_hold
UPDATE uploads SET held_until = :until WHERE company_id = :company_id AND id = :id;
-- name: upload_complete
UPDATE uploads SET completed_at = :at
WHERE company_id = :company_id AND id = :id AND completed_at IS NULL AND aborted_at IS NULL;
-- name: upload_abort
UPDATE uploads SET aborted_at = :at
WHERE company_id = :company_id AND id = :id AND completed_at IS NULL AND aborted_at IS NULL;
