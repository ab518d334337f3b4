-- name: audit_add
INSERT INTO audit (at, company_id, actor, action, subject, outcome, address, trace_id, detail)
VALUES (:at, :company_id, :actor, :action, :subject, :outcome, :address, :trace_id, :detail);
-- name: audit_page
SELECT at, company_id, actor, action, subject, outcome, address, trace_id, detail, seq FROM audit
WHERE company_id = :company_id
AND action = :action -- when :action
AND subject = :subject -- when :subject
AND seq < :before -- when :before
ORDER BY seq DESC
LIMIT :limit;

-- A company's events are committed in the order of their numbers, so that who has read one has missed none before it.
-- name: event_turn
SELECT 1 FROM ledger WHERE company_id = :company_id {held};
-- name: event_add
INSERT INTO events (at, company_id, kind, subject, data) VALUES (:at, :company_id, :kind, :subject, :data);
-- name: events_after
SELECT at, company_id, kind, subject, data, seq FROM events
WHERE company_id = :company_id AND seq > :seq
ORDER BY seq
LIMIT :limit;
-- name: event_last
SELECT MAX(seq) FROM events WHERE company_id = :company_id;

-- name: idempotency_begin
INSERT INTO idempotency (company_id, key, fingerprint, created_at) VALUES (:company_id, :key, :fingerprint, :at)
ON CONFLICT DO NOTHING;
-- name: idempotency_get
SELECT fingerprint, status, headers, body FROM idempotency WHERE company_id = :company_id AND key = :key {held};
-- name: idempotency_finish
UPDATE idempotency SET status = :status, headers = :headers, body = :body
WHERE company_id = :company_id AND key = :key AND fingerprint = :fingerprint AND status IS NULL;
-- name: idempotency_release
DELETE FROM idempotency WHERE company_id = :company_id AND key = :key AND status IS NULL;
