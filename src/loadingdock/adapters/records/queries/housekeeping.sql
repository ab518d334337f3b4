-- Across all tenants.

-- name: expired_files
SELECT {file_columns},
{version_columns}
FROM {files_with_latest}
WHERE f.expires_at <= :now AND f.expires_at IS NOT NULL AND f.deleted_at IS NULL AND f.attached = 0
AND f.state <> 'expired' AND f.state <> 'deleted'
ORDER BY f.expires_at
LIMIT :limit;
-- name: abandoned_uploads
SELECT {upload_columns}
FROM uploads
WHERE expires_at <= :now AND completed_at IS NULL AND aborted_at IS NULL
AND (held_until IS NULL OR held_until <= :now)
ORDER BY expires_at
LIMIT :limit;
-- name: deleted_with_bytes
SELECT {version_columns}
FROM versions v JOIN files f ON f.company_id = v.company_id AND f.id = v.file_id
WHERE (v.state = 'deleted' OR v.state = 'expired') AND (v.blob_key IS NOT NULL OR v.text_key IS NOT NULL)
AND f.attached = 0
ORDER BY v.company_id, v.file_id, v.number
LIMIT :limit;
-- name: known_blobs
SELECT blob_key FROM versions WHERE {among blob_key :keys}
UNION
SELECT text_key FROM versions WHERE {among text_key :keys}
UNION
SELECT staging_key FROM uploads
WHERE {among staging_key :keys} AND completed_at IS NULL AND aborted_at IS NULL;
-- name: versions_with_bytes
SELECT {version_columns}
FROM versions v
WHERE (v.blob_key IS NOT NULL OR v.text_key IS NOT NULL)
AND (v.company_id, v.file_id, v.number) > (:company_id, :file_id, :number) -- when :file_id
ORDER BY v.company_id, v.file_id, v.number
LIMIT :limit;
-- name: ledger_drift
SELECT l.company_id, l.bytes, l.files, COALESCE(c.bytes, 0), COALESCE(c.files, 0)
FROM ledger l LEFT JOIN (
    SELECT company_id, CAST(SUM(size) AS BIGINT) AS bytes, COUNT(*) AS files FROM versions
    WHERE blob_key IS NOT NULL
    GROUP BY company_id
) c ON c.company_id = l.company_id
WHERE l.bytes <> COALESCE(c.bytes, 0) OR l.files <> COALESCE(c.files, 0)
ORDER BY l.company_id;

-- name: forget_idempotency
DELETE FROM idempotency WHERE (company_id, key) IN (
    SELECT company_id, key FROM idempotency WHERE created_at < :before ORDER BY created_at LIMIT :limit
);
-- From the oldest on, as they came. The newest event stays, so that no engine gives out a seq twice.
-- name: forget_events
DELETE FROM events
WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT :limit) AND seq < (SELECT MAX(seq) FROM events)
AND at < :before;
-- name: forget_jobs
DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs WHERE state = 'done' AND finished_at IS NOT NULL AND finished_at < :before
    ORDER BY finished_at LIMIT :limit
);
