-- fragment: callback
SELECT id, company_id, url, event, subject, body, state, round, tries, attempts, created_at, next_at, give_up_at, ended_at
FROM callbacks
-- name: callback_get
{callback} WHERE company_id = :company_id AND id = :id {held};
-- name: callback_page
{callback}
WHERE company_id = :company_id
AND state = :state -- when :state
AND subject = :subject -- when :subject
AND (created_at, id) < (:before, :before_id) -- when :before_id
ORDER BY created_at DESC, id DESC
LIMIT :limit;
-- name: callback_add
INSERT INTO callbacks (id, company_id, url, event, subject, body, state, round, tries, attempts, created_at, next_at,
    give_up_at, ended_at)
VALUES (:id, :company_id, :url, :event, :subject, :body, :state, :round, :tries, :attempts, :created_at, :next_at,
    :give_up_at, :ended_at)
ON CONFLICT DO NOTHING;
-- name: callback_save
UPDATE callbacks
SET state = :state, round = :round, tries = :tries, attempts = :attempts, next_at = :next_at, give_up_at = :give_up_at,
    ended_at = :ended_at
WHERE company_id = :company_id AND id = :id;

-- name: callback_attempts
SELECT number, at, millis, status, error FROM callback_attempts
WHERE company_id = :company_id AND callback_id = :id
ORDER BY number;
-- name: callback_attempt_add
INSERT INTO callback_attempts (company_id, callback_id, number, at, millis, status, error)
VALUES (:company_id, :id, :number, :at, :millis, :status, :error);

-- name: callback_secrets
SELECT id, company_id, secret, created_at, expires_at FROM callback_secrets
WHERE company_id = :company_id
ORDER BY created_at DESC, id DESC;
-- name: callback_secret_add
INSERT INTO callback_secrets (id, company_id, secret, created_at, expires_at)
VALUES (:id, :company_id, :secret, :created_at, :expires_at)
ON CONFLICT DO NOTHING;
-- name: callback_secrets_expire
UPDATE callback_secrets SET expires_at = :until WHERE company_id = :company_id AND expires_at IS NULL AND id <> :id;
-- name: callback_secrets_remove
DELETE FROM callback_secrets WHERE company_id = :company_id AND expires_at <= :now;

-- Across all tenants.
-- name: callbacks_pending
SELECT COUNT(*), MIN(created_at) FROM callbacks WHERE state = 'pending';
-- name: callbacks_ended
SELECT company_id, id FROM callbacks WHERE ended_at IS NOT NULL AND ended_at < :before
ORDER BY ended_at
LIMIT :limit {passing_over};
-- name: callback_forget_attempts
DELETE FROM callback_attempts WHERE company_id = :company_id AND callback_id = :id;
-- name: callback_forget
DELETE FROM callbacks WHERE company_id = :company_id AND id = :id;
