-- Files of contacts on their way into tables. asked is what the client asked, undone what an undo did, both JSON objects;
-- columns and warnings are JSON lists. turn is the place in the table's queue, NULL out of it. records and bytes are how
-- far the pass has read that began at since.
CREATE TABLE imports (
    number        {serial},
    company_id    BIGINT NOT NULL REFERENCES companies (id),
    table_number  BIGINT NOT NULL REFERENCES contact_tables (number),
    table_code    {text} NOT NULL,
    asked         {text} NOT NULL,
    file_id       {text} NOT NULL,
    file_version  BIGINT NOT NULL,
    file_name     {text} NOT NULL,
    file_size     BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    created_by    {text} NOT NULL,
    state         {text} NOT NULL,
    turn          BIGINT,
    attempt       BIGINT NOT NULL,
    callback_url  {text},
    columns       {text},
    warnings      {text},
    records       BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    since         BIGINT,
    inserted      BIGINT NOT NULL,
    updated       BIGINT NOT NULL,
    unchanged     BIGINT NOT NULL,
    skipped       BIGINT NOT NULL,
    rejected      BIGINT NOT NULL,
    cancelling    BIGINT NOT NULL,
    reason        {text},
    started_at    BIGINT,
    ended_at      BIGINT,
    rejected_file {text},
    report_file   {text},
    undo_until    BIGINT,
    undone        {text}
);
CREATE UNIQUE INDEX imports_newest ON imports (company_id, number);
CREATE INDEX imports_newest_by_table ON imports (company_id, table_number, number);
CREATE INDEX imports_newest_by_state ON imports (company_id, state, number);
CREATE INDEX imports_newest_by_file ON imports (company_id, file_id, number);
CREATE UNIQUE INDEX imports_by_turn ON imports (company_id, table_number, turn) WHERE turn IS NOT NULL;
CREATE INDEX imports_undoable ON imports (undo_until)
    WHERE undo_until IS NOT NULL AND (state = 'finished' OR state = 'finished_with_errors');

-- What became of the first records of each outcome. raw is UTF-8, as bytes because a text may not hold a NUL; problems
-- is a JSON list of [column, code, reason].
CREATE TABLE import_rows (
    company_id BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    outcome    {text} NOT NULL,
    ordinal    BIGINT NOT NULL,
    line       BIGINT NOT NULL,
    problems   {text},
    raw        {bytes} NOT NULL,
    cut        BIGINT NOT NULL,
    PRIMARY KEY (company_id, number, outcome, ordinal),
    FOREIGN KEY (company_id, number) REFERENCES imports (company_id, number)
);
