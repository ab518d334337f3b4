-- What is known of contact tables; the tables themselves live beside. columns and key are JSON lists. version grows with
-- every change of what is declared; 0 before the table was made.
CREATE TABLE contact_tables (
    number       {serial},
    company_id   BIGINT NOT NULL REFERENCES companies (id),
    code         {text} NOT NULL,
    code_folded  {text} NOT NULL,
    name         {text} NOT NULL,
    columns      {text} NOT NULL,
    key          {text},
    region       {text},
    ignore_empty BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL
);
CREATE UNIQUE INDEX contact_tables_by_code ON contact_tables (company_id, code_folded);
CREATE INDEX contact_tables_of_company ON contact_tables (company_id, number);
