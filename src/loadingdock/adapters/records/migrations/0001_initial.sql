-- Times are microseconds since 1970-01-01 UTC; JSON is text, NULL where empty; sets of words are joined by spaces.
-- Tenant-bound tables lead their primary key with company_id, so that no lookup can forget the tenant.
-- Words in braces differ by engine and are filled in by the adapter.

CREATE TABLE companies (
    id          {serial},
    code        {text} NOT NULL UNIQUE,
    number      BIGINT NOT NULL UNIQUE,
    name        {text} NOT NULL,
    created_at  BIGINT NOT NULL,
    disabled_at BIGINT,
    settings    {text},
    job_cap     BIGINT -- from the settings, where a claim can compare it
);

CREATE TABLE users (
    company_id    BIGINT NOT NULL REFERENCES companies (id),
    name          {text} NOT NULL,
    password_hash {text} NOT NULL,
    permissions   {text} NOT NULL,
    created_at    BIGINT NOT NULL,
    disabled_at   BIGINT,
    md5_hash      {text},
    PRIMARY KEY (company_id, name)
);

CREATE TABLE api_keys (
    company_id  BIGINT NOT NULL REFERENCES companies (id),
    id          {text} NOT NULL,
    digest      {text} NOT NULL UNIQUE,
    label       {text} NOT NULL,
    permissions {text} NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT,
    PRIMARY KEY (company_id, id)
);

CREATE TABLE clients (
    id            {text} NOT NULL PRIMARY KEY,
    secret_digest {text} NOT NULL,
    permissions   {text} NOT NULL,
    token_ttl     BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    revoked_at    BIGINT
);

-- place 0 is the client's home.
CREATE TABLE client_companies (
    client_id  {text} NOT NULL REFERENCES clients (id),
    place      BIGINT NOT NULL,
    company_id BIGINT NOT NULL REFERENCES companies (id),
    PRIMARY KEY (client_id, place)
);
CREATE INDEX client_companies_by_company ON client_companies (company_id, client_id);

CREATE TABLE signing_keys (
    id          {text} NOT NULL PRIMARY KEY,
    private_pem {text} NOT NULL,
    created_at  BIGINT NOT NULL,
    retired_at  BIGINT
);

CREATE TABLE installation (
    name  {text}  NOT NULL PRIMARY KEY,
    value {bytes} NOT NULL
);

-- name_nfc is what names are compared by, name_folded what they are searched in. state is that of the latest version,
-- or deleted, kept here so that lists can be narrowed by an index.
CREATE TABLE files (
    company_id  BIGINT NOT NULL REFERENCES companies (id),
    id          {text} NOT NULL,
    api         {text} NOT NULL,
    namespace   {text} NOT NULL,
    name        {text} NOT NULL,
    name_nfc    {text} NOT NULL,
    name_folded {text} NOT NULL,
    alias       {text},
    owner       {text},
    acl         {text} NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    deleted_at  BIGINT,
    attached    BIGINT NOT NULL,
    attributes  {text},
    latest      BIGINT NOT NULL,
    state       {text} NOT NULL,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX files_by_alias ON files (company_id, alias) WHERE alias IS NOT NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX files_by_name ON files (company_id, namespace, name_nfc)
    WHERE namespace <> '' AND deleted_at IS NULL;
CREATE INDEX files_newest ON files (company_id, created_at, id);
CREATE INDEX files_newest_by_api ON files (company_id, api, created_at, id);
CREATE INDEX files_newest_by_state ON files (company_id, state, created_at, id);
CREATE INDEX files_newest_by_owner ON files (company_id, owner, created_at, id) WHERE owner IS NOT NULL;
CREATE INDEX files_newest_by_namespace ON files (company_id, namespace, created_at, id) WHERE namespace <> '';
CREATE INDEX files_expiring ON files (expires_at)
    WHERE expires_at IS NOT NULL AND deleted_at IS NULL AND attached = 0 AND state <> 'expired' AND state <> 'deleted';

CREATE TABLE versions (
    company_id    BIGINT NOT NULL,
    file_id       {text} NOT NULL,
    number        BIGINT NOT NULL,
    state         {text} NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    declared_type {text},
    detected_type {text},
    size          BIGINT NOT NULL,
    sha256        {text},
    blob_key      {text},
    text_key      {text},
    steps         {text},
    warnings      {text},
    reason        {text},
    attributes    {text},
    PRIMARY KEY (company_id, file_id, number),
    FOREIGN KEY (company_id, file_id) REFERENCES files (company_id, id)
);
CREATE INDEX versions_by_sha256 ON versions (company_id, sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX versions_by_blob ON versions (blob_key) WHERE blob_key IS NOT NULL;
CREATE INDEX versions_by_text ON versions (text_key) WHERE text_key IS NOT NULL;
CREATE INDEX versions_to_clear ON versions (company_id, file_id, number)
    WHERE (state = 'deleted' OR state = 'expired') AND (blob_key IS NOT NULL OR text_key IS NOT NULL);

CREATE TABLE attachments (
    company_id BIGINT NOT NULL,
    file_id    {text} NOT NULL,
    reference  {text} NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, file_id, reference),
    FOREIGN KEY (company_id, file_id) REFERENCES files (company_id, id)
);

-- received counts the durable bytes of a resumable upload: its offset.
CREATE TABLE uploads (
    company_id    BIGINT NOT NULL,
    id            {text} NOT NULL,
    file_id       {text} NOT NULL,
    version       BIGINT NOT NULL,
    max_size      BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    size          BIGINT,
    content_type  {text},
    sha256        {text},
    allowed_types {text},
    received      BIGINT NOT NULL,
    staging_key   {text},
    completed_at  BIGINT,
    aborted_at    BIGINT,
    held_until    BIGINT,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, file_id, version) REFERENCES versions (company_id, file_id, number)
);
CREATE INDEX uploads_of_file ON uploads (company_id, file_id, version, created_at);
CREATE INDEX uploads_open ON uploads (expires_at) WHERE completed_at IS NULL AND aborted_at IS NULL;
CREATE INDEX uploads_by_staging ON uploads (staging_key) WHERE staging_key IS NOT NULL;

CREATE TABLE ledger (
    company_id BIGINT NOT NULL PRIMARY KEY REFERENCES companies (id),
    bytes      BIGINT NOT NULL,
    files      BIGINT NOT NULL
);

CREATE TABLE jobs (
    id          {text} NOT NULL PRIMARY KEY,
    company_id  BIGINT NOT NULL REFERENCES companies (id),
    kind        {text} NOT NULL,
    subject     {text} NOT NULL,
    payload     {text},
    state       {text} NOT NULL,
    attempts    BIGINT NOT NULL,
    run_at      BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    fence       BIGINT NOT NULL,
    lease_until BIGINT,
    worker      {text},
    memo        {text},
    dedupe_key  {text},
    last_error  {text},
    finished_at BIGINT
);
CREATE UNIQUE INDEX jobs_by_dedupe_key ON jobs (company_id, dedupe_key)
    WHERE dedupe_key IS NOT NULL AND finished_at IS NULL;
CREATE INDEX jobs_waiting ON jobs (company_id, run_at, id, kind) WHERE state = 'waiting';
CREATE INDEX jobs_running ON jobs (company_id, lease_until) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE schedules (
    name    {text} NOT NULL PRIMARY KEY,
    last_at BIGINT NOT NULL
);

-- company_id 0 is the installation itself: a deed about no company, such as a login to an unknown one.
CREATE TABLE audit (
    seq        {serial},
    at         BIGINT NOT NULL,
    company_id BIGINT NOT NULL,
    actor      {text} NOT NULL,
    action     {text} NOT NULL,
    subject    {text} NOT NULL,
    outcome    {text} NOT NULL,
    address    {text},
    trace_id   {text},
    detail     {text}
);
CREATE INDEX audit_by_company ON audit (company_id, seq);
CREATE INDEX audit_by_subject ON audit (company_id, subject, seq);
{append_only audit}

CREATE TABLE events (
    seq        {serial},
    at         BIGINT NOT NULL,
    company_id BIGINT NOT NULL REFERENCES companies (id),
    kind       {text} NOT NULL,
    subject    {text} NOT NULL,
    data       {text}
);
CREATE INDEX events_by_company ON events (company_id, seq);

CREATE TABLE idempotency (
    company_id  BIGINT NOT NULL REFERENCES companies (id),
    key         {text} NOT NULL,
    fingerprint {text} NOT NULL,
    created_at  BIGINT NOT NULL,
    status      BIGINT,
    headers     {text},
    body        {bytes},
    PRIMARY KEY (company_id, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);
