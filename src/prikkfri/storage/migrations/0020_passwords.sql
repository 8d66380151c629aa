CREATE TABLE imported_password (
    subscriber_id TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL
);
CREATE TABLE password_code (
    id TEXT PRIMARY KEY,
    subscriber_id TEXT NOT NULL,
    device TEXT NOT NULL,
    code_hash {blob} NOT NULL,
    made_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    tries_left BIGINT NOT NULL
);
CREATE INDEX password_code_subscriber ON password_code (subscriber_id, made_at);
CREATE INDEX password_code_made ON password_code (made_at);
CREATE TABLE password_link (
    link_hash {blob} PRIMARY KEY,
    subscriber_id TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    used_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX password_link_subscriber ON password_link (subscriber_id);
CREATE INDEX password_link_expires ON password_link (expires_at);
ALTER TABLE device_token ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE device_token ADD COLUMN seen_at DOUBLE PRECISION NOT NULL DEFAULT 0;
CREATE INDEX session_token ON session (token_id);
