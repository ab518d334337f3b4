-- name: signing_keys
SELECT id, private_pem, created_at, retired_at FROM signing_keys ORDER BY created_at DESC, id DESC;
-- Who makes a key because there is none does so alone.
-- name: signing_keys_turn
SELECT {turn 0};
-- name: signing_key_add
INSERT INTO signing_keys (id, private_pem, created_at, retired_at)
VALUES (:id, :private_pem, :created_at, :retired_at)
ON CONFLICT DO NOTHING;
-- name: signing_key_retire
UPDATE signing_keys SET retired_at = :at WHERE id = :id AND retired_at IS NULL;
-- name: signing_key_remove
DELETE FROM signing_keys WHERE id = :id;
-- name: installation_get
SELECT value FROM installation WHERE name = :name;
-- name: installation_set
INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING;
