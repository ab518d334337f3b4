-- fragment: company
SELECT id, code, number, name, created_at, disabled_at, settings FROM companies
-- name: company_by_id
{company} WHERE id = :id {held};
-- name: company_by_code
{company} WHERE code = :code;
-- name: company_by_number
{company} WHERE number = :number;
-- name: company_list
{company} ORDER BY code;
-- name: company_add
INSERT INTO companies (code, number, name, created_at) VALUES (:code, :number, :name, :at)
ON CONFLICT DO NOTHING;
-- name: company_save
UPDATE companies SET name = :name, settings = :settings, job_cap = :job_cap, disabled_at = :disabled_at
WHERE id = :id;

-- fragment: user
SELECT company_id, name, password_hash, permissions, created_at, disabled_at, md5_hash FROM users
-- name: user_get
{user} WHERE company_id = :company_id AND name = :name {held};
-- name: user_list
{user} WHERE company_id = :company_id ORDER BY name;
-- name: user_add
INSERT INTO users (company_id, name, password_hash, permissions, created_at, disabled_at, md5_hash)
VALUES (:company_id, :name, :password_hash, :permissions, :created_at, :disabled_at, :md5_hash)
ON CONFLICT DO NOTHING;
-- name: user_save
UPDATE users
SET password_hash = :password_hash, permissions = :permissions, disabled_at = :disabled_at, md5_hash = :md5_hash
WHERE company_id = :company_id AND name = :name;

-- fragment: key
SELECT id, company_id, digest, label, permissions, created_at, revoked_at FROM api_keys
-- name: key_by_digest
{key} WHERE digest = :digest;
-- name: key_get
{key} WHERE company_id = :company_id AND id = :id;
-- name: key_list
{key} WHERE company_id = :company_id ORDER BY created_at DESC, id DESC;
-- name: key_add
INSERT INTO api_keys (company_id, id, digest, label, permissions, created_at, revoked_at)
VALUES (:company_id, :id, :digest, :label, :permissions, :created_at, :revoked_at)
ON CONFLICT DO NOTHING;
-- name: key_revoke
UPDATE api_keys SET revoked_at = :at WHERE company_id = :company_id AND id = :id AND revoked_at IS NULL;

-- fragment: client
SELECT c.id, c.secret_digest, c.permissions, c.token_ttl, c.created_at, c.revoked_at FROM clients c
-- name: client_find
{client} WHERE c.id = :id;
-- name: client_list
{client} JOIN client_companies m ON m.client_id = c.id
WHERE m.company_id = :company_id
ORDER BY c.created_at DESC, c.id DESC;
-- name: client_companies
SELECT company_id FROM client_companies WHERE client_id = :id ORDER BY place;
-- name: client_add
INSERT INTO clients (id, secret_digest, permissions, token_ttl, created_at, revoked_at)
VALUES (:id, :secret_digest, :permissions, :token_ttl, :created_at, :revoked_at)
ON CONFLICT DO NOTHING;
-- name: client_add_company
INSERT INTO client_companies (client_id, place, company_id) VALUES (:id, :place, :company_id);
-- name: client_revoke
UPDATE clients SET revoked_at = :at
WHERE id = :id AND revoked_at IS NULL AND EXISTS (
    SELECT 1 FROM client_companies m WHERE m.client_id = clients.id AND m.place = 0 AND m.company_id = :company_id
);
