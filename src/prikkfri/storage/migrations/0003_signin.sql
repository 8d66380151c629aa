CREATE TABLE credential (
    subscriber_id TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    changed_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE device_token (
    token_id TEXT PRIMARY KEY,
    subscriber_id TEXT NOT NULL,
    device TEXT NOT NULL,
    issued_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    revoked_at DOUBLE PRECISION
);
CREATE INDEX device_token_expires ON device_token (expires_at);
CREATE INDEX device_token_revoked ON device_token (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE TABLE session (
    session_hash {blob} PRIMARY KEY,
    subscriber_id TEXT NOT NULL,
    device TEXT NOT NULL,
    token_id TEXT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX session_expires ON session (expires_at);
