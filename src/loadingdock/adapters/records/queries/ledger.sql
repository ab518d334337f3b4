-- name: ledger_open
INSERT INTO ledger (company_id, bytes, files) VALUES (:company_id, 0, 0);
-- name: ledger_get
SELECT bytes, files FROM ledger WHERE company_id = :company_id;
-- name: ledger_charge
UPDATE ledger SET bytes = bytes + :bytes, files = files + :files
WHERE company_id = :company_id
AND bytes + :bytes <= :max_bytes -- when :max_bytes
AND files + :files <= :max_files -- when :max_files
