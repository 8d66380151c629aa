ALTER TABLE journal_stream ADD COLUMN commits BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sms_message ADD COLUMN restored BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sms_message_restored ON sms_message (id) WHERE restored > 0 AND ended_at = 0;
CREATE TABLE sms_restore (
    number BIGINT PRIMARY KEY,
    line TEXT NOT NULL,
    mark_line TEXT NOT NULL,
    mark_commits BIGINT NOT NULL,
    noticed_at DOUBLE PRECISION NOT NULL,
    snapshot_at DOUBLE PRECISION NOT NULL,
    marked_at DOUBLE PRECISION NOT NULL,
    commits_missing BIGINT NOT NULL,
    outcomes_missing BIGINT NOT NULL,
    found BIGINT NOT NULL,
    waiting BIGINT NOT NULL,
    sensitive BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    decision TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    decided_at DOUBLE PRECISION NOT NULL,
    given_up BIGINT NOT NULL,
    let_go BIGINT NOT NULL,
    done_at DOUBLE PRECISION NOT NULL
);
