-- Messages owed to URLs that clients named. tries counts the attempts of the current round, attempts those of all.
CREATE TABLE callbacks (
    company_id BIGINT NOT NULL REFERENCES companies (id),
    id         {text} NOT NULL,
    url        {text} NOT NULL,
    event      {text} NOT NULL,
    subject    {text} NOT NULL,
    body       {bytes} NOT NULL,
    state      {text} NOT NULL,
    round      BIGINT NOT NULL,
    tries      BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT,
    give_up_at BIGINT NOT NULL,
    ended_at   BIGINT,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX callbacks_newest ON callbacks (company_id, created_at, id);
CREATE INDEX callbacks_newest_by_state ON callbacks (company_id, state, created_at, id);
CREATE INDEX callbacks_newest_by_subject ON callbacks (company_id, subject, created_at, id);
CREATE INDEX callbacks_pending ON callbacks (created_at) WHERE state = 'pending';
CREATE INDEX callbacks_ended ON callbacks (ended_at) WHERE ended_at IS NOT NULL;

-- millis is how long it took; status is NULL where there was no answer, error where it was delivered.
CREATE TABLE callback_attempts (
    company_id  BIGINT NOT NULL,
    callback_id {text} NOT NULL,
    number      BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    millis      BIGINT NOT NULL,
    status      BIGINT,
    error       {text},
    PRIMARY KEY (company_id, callback_id, number),
    FOREIGN KEY (company_id, callback_id) REFERENCES callbacks (company_id, id)
);

CREATE TABLE callback_secrets (
    company_id BIGINT NOT NULL REFERENCES companies (id),
    id         {text} NOT NULL,
    secret     {bytes} NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (company_id, id)
);
