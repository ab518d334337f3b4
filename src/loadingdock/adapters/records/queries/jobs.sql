-- fragment: job_columns
id, company_id, kind, subject, payload, state, attempts, run_at, created_at, fence, lease_until, worker, memo,
dedupe_key, last_error, finished_at

-- name: job_add
INSERT INTO jobs (id, company_id, kind, subject, payload, state, attempts, run_at, created_at, fence, dedupe_key)
VALUES (:id, :company_id, :kind, :subject, :payload, 'waiting', 0, :run_at, :at, 0, :dedupe_key)
ON CONFLICT DO NOTHING;
-- name: job_holds
SELECT 1 FROM jobs WHERE company_id = :company_id AND id = :id AND fence = :fence AND state = 'running' {held};

-- A lease that ran out gives the job back: whoever held it holds it no longer.
-- name: jobs_release_lost
UPDATE jobs SET state = 'waiting', lease_until = NULL, worker = NULL
WHERE id IN (SELECT id FROM jobs WHERE state = 'running' AND lease_until <= :now {passing_over});
-- The companies with due jobs and room under the cap, those with the fewest running first: a walk over the index of
-- waiting jobs from company to company, however many jobs each of them has.
-- name: jobs_companies_due
WITH RECURSIVE company (id) AS (
    SELECT MIN(company_id) FROM jobs WHERE state = 'waiting'
    UNION ALL
    SELECT (SELECT MIN(j.company_id) FROM jobs j WHERE j.state = 'waiting' AND j.company_id > company.id)
    FROM company WHERE company.id IS NOT NULL
), standing (id, cap, running, oldest) AS MATERIALIZED (
    SELECT id,
        COALESCE((SELECT c.job_cap FROM companies c WHERE c.id = company.id), :cap),
        (SELECT COUNT(*) FROM jobs r WHERE r.state = 'running' AND r.company_id = company.id),
        (
            SELECT w.run_at FROM jobs w
            WHERE w.state = 'waiting' AND w.company_id = company.id AND w.run_at <= :now
            AND {among w.kind :kinds} -- when :kinds
            ORDER BY w.run_at LIMIT 1
        )
    FROM company WHERE id IS NOT NULL
)
SELECT id, cap, running FROM standing
WHERE running < cap AND oldest IS NOT NULL
ORDER BY running, oldest, id
LIMIT :limit;
-- A company's running jobs are counted and claimed by one at a time, each company by itself.
-- name: jobs_turns
SELECT CAST(value AS BIGINT) FROM ({each :companies}) AS asked WHERE {free_turn value};
-- name: jobs_turn
SELECT {turn :company_id};
-- name: jobs_due
SELECT run_at, id FROM jobs
WHERE state = 'waiting' AND company_id = :company_id AND run_at <= :now
AND {among kind :kinds} -- when :kinds
ORDER BY run_at, id
LIMIT :limit {passing_over};
-- name: jobs_claim
UPDATE jobs
SET state = 'running', worker = :worker, lease_until = :lease_until, fence = fence + 1, attempts = attempts + 1
WHERE {among id :ids} AND state = 'waiting'
RETURNING {job_columns};

-- name: job_heartbeat
UPDATE jobs SET lease_until = :lease_until WHERE id = :id AND fence = :fence AND state = 'running';
-- name: job_remember
UPDATE jobs SET memo = :memo WHERE id = :id AND fence = :fence AND state = 'running';
-- name: job_finish
UPDATE jobs SET state = 'done', finished_at = :now, lease_until = NULL
WHERE id = :id AND fence = :fence AND state = 'running';
-- name: job_retry
UPDATE jobs
SET state = 'waiting', run_at = :run_at, last_error = :error, attempts = attempts - :forgiven, lease_until = NULL,
    worker = NULL
WHERE id = :id AND fence = :fence AND state = 'running';
-- name: job_bury
UPDATE jobs SET state = 'dead', last_error = :error, finished_at = :now, lease_until = NULL
WHERE id = :id AND fence = :fence AND state = 'running';
-- name: job_requeue
UPDATE jobs SET state = 'waiting', attempts = 0, run_at = :now, finished_at = NULL, worker = NULL
WHERE id = :id AND state = 'dead'
AND company_id = :company_id -- when :company_id
AND NOT EXISTS (
    SELECT 1 FROM jobs o
    WHERE o.company_id = jobs.company_id AND o.dedupe_key = jobs.dedupe_key AND o.finished_at IS NULL
    AND o.dedupe_key IS NOT NULL
)
RETURNING company_id;

-- name: job_list
SELECT {job_columns} FROM jobs
WHERE 1 = 1
AND company_id = :company_id -- when :company_id
AND state = :state -- when :state
AND finished_at IS NOT NULL -- when :finished
ORDER BY created_at DESC, id DESC
LIMIT :limit;
-- name: jobs_depth
SELECT
    (SELECT COUNT(*) FROM jobs WHERE state = 'waiting' AND run_at <= :now)
        + (SELECT COUNT(*) FROM jobs WHERE state = 'running' AND lease_until <= :now),
    (SELECT COUNT(*) FROM jobs WHERE state = 'running' AND lease_until > :now),
    (SELECT COUNT(*) FROM jobs WHERE state = 'dead' AND finished_at IS NOT NULL),
    (SELECT MIN(run_at) FROM jobs WHERE state = 'waiting' AND run_at <= :now),
    (SELECT MIN(run_at) FROM jobs WHERE state = 'running' AND lease_until <= :now);

-- A last time more than a period ahead was written by a wrong clock.
-- name: schedule_due
INSERT INTO schedules (name, last_at) VALUES (:name, :now)
ON CONFLICT (name) DO UPDATE SET last_at = :now
WHERE schedules.last_at + :every <= :now OR schedules.last_at > :now + :every;
