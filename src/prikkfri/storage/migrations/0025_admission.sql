CREATE TABLE admission (
    pass_id TEXT PRIMARY KEY,
    expires_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX admission_expires ON admission (expires_at);
