-- fragment: import
SELECT number, company_id, table_number, table_code, asked, file_id, file_version, file_name, file_size, created_at,
    created_by, state, turn, attempt, callback_url, columns, warnings, records, bytes, since, inserted, updated,
    unchanged, skipped, rejected, cancelling, reason, started_at, ended_at, rejected_file, report_file, undo_until,
    undone
FROM imports
-- name: import_table
SELECT number FROM contact_tables WHERE company_id = :company_id AND number = :table_number {held};
-- name: import_get
{import} WHERE company_id = :company_id AND number = :number {held};
-- name: import_page
{import}
WHERE company_id = :company_id
AND table_number = :table_number -- when :table_number
AND state = :state -- when :state
AND file_id = :file_id -- when :file_id
AND number < :before -- when :before
ORDER BY number DESC
LIMIT :limit;
-- name: import_waiting
{import}
WHERE company_id = :company_id AND file_id = :file_id AND file_version = :file_version AND state = 'waiting'
ORDER BY number;
-- name: import_first
{import}
WHERE company_id = :company_id AND table_number = :table_number AND turn IS NOT NULL
ORDER BY turn
LIMIT 1;
-- name: import_last
{import}
WHERE company_id = :company_id AND table_number = :table_number AND turn IS NOT NULL
ORDER BY turn DESC
LIMIT 1;
-- name: import_add
INSERT INTO imports (company_id, table_number, table_code, asked, file_id, file_version, file_name, file_size,
    created_at, created_by, state, turn, attempt, callback_url, columns, warnings, records, bytes, since, inserted,
    updated, unchanged, skipped, rejected, cancelling, reason, started_at, ended_at, rejected_file, report_file,
    undo_until, undone)
VALUES (:company_id, :table_number, :table_code, :asked, :file_id, :file_version, :file_name, :file_size, :created_at,
    :created_by, :state, 1 + COALESCE((
        SELECT MAX(turn) FROM imports
        WHERE company_id = :company_id AND table_number = :table_number AND turn IS NOT NULL
    ), 0), :attempt, :callback_url, :columns, :warnings, :records, :bytes, :since, :inserted, :updated, :unchanged,
    :skipped, :rejected, :cancelling, :reason, :started_at, :ended_at, :rejected_file, :report_file, :undo_until,
    :undone);
-- name: import_save
UPDATE imports
SET state = :state, attempt = :attempt, columns = :columns, warnings = :warnings, inserted = :inserted,
    updated = :updated, unchanged = :unchanged, skipped = :skipped, rejected = :rejected, cancelling = :cancelling,
    reason = :reason, started_at = :started_at, ended_at = :ended_at, rejected_file = :rejected_file,
    report_file = :report_file, undo_until = :undo_until, undone = :undone
WHERE company_id = :company_id AND number = :number;
-- name: import_enter
UPDATE imports
SET turn = 1 + COALESCE((
    SELECT MAX(others.turn) FROM imports others
    WHERE others.company_id = imports.company_id AND others.table_number = imports.table_number
    AND others.turn IS NOT NULL
), 0)
WHERE company_id = :company_id AND number = :number;
-- name: import_leave
UPDATE imports SET turn = NULL WHERE company_id = :company_id AND number = :number;
-- name: import_proceed
UPDATE imports
SET records = :records, bytes = :bytes, since = :since, inserted = :inserted, updated = :updated,
    unchanged = :unchanged, skipped = :skipped, rejected = :rejected
WHERE company_id = :company_id AND number = :number AND attempt = :attempt
AND (state = 'checking' OR state = 'loading')
RETURNING cancelling;

-- name: import_row_add
INSERT INTO import_rows (company_id, number, outcome, ordinal, line, problems, raw, cut)
VALUES (:company_id, :number, :outcome, :ordinal, :line, :problems, :raw, :cut)
ON CONFLICT DO NOTHING;
-- name: import_rows_clear
DELETE FROM import_rows
WHERE company_id = :company_id
AND outcome = :outcome -- when :outcome
AND number = :number;
-- name: import_rows_page
SELECT outcome, ordinal, line, problems, raw, cut FROM import_rows
WHERE company_id = :company_id AND number = :number AND outcome = :outcome
AND ordinal > :after -- when :after
ORDER BY ordinal
LIMIT :limit;

-- Across all tenants.
-- name: imports_first
{import}
WHERE turn IS NOT NULL AND turn = (
    SELECT MIN(others.turn) FROM imports others
    WHERE others.company_id = imports.company_id AND others.table_number = imports.table_number
    AND others.turn IS NOT NULL
)
ORDER BY company_id, table_number;
-- name: imports_undoable
{import}
WHERE undo_until IS NOT NULL AND (state = 'finished' OR state = 'finished_with_errors') AND undo_until <= :before
ORDER BY undo_until
LIMIT :limit;
