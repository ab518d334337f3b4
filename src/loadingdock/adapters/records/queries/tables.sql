-- fragment: table_columns
number, company_id, code, name, columns, key, region, ignore_empty, created_at, changed_at, version
-- name: table_get
SELECT {table_columns}
FROM contact_tables WHERE company_id = :company_id AND code_folded = :code_folded {held};
-- name: table_list
SELECT {table_columns}
FROM contact_tables WHERE company_id = :company_id
ORDER BY number;
-- name: table_add
INSERT INTO contact_tables (company_id, code, code_folded, name, columns, key, region, ignore_empty, created_at,
    changed_at, version)
VALUES (:company_id, :code, :code_folded, :name, :columns, :key, :region, :ignore_empty, :created_at, :changed_at,
    :version)
ON CONFLICT DO NOTHING;
-- name: table_save
UPDATE contact_tables SET name = :name, columns = :columns, key = :key, region = :region, ignore_empty = :ignore_empty,
    changed_at = :changed_at, version = :version
WHERE company_id = :company_id AND number = :number AND version = :was;
