CREATE TABLE console_browser (
    token_digest TEXT NOT NULL,
    name TEXT NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (token_digest, name)
);
CREATE INDEX device_token_subscriber ON device_token (subscriber_id, device);
