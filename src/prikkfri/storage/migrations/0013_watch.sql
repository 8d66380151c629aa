CREATE TABLE watch (
    id BIGINT PRIMARY KEY,
    counted_to DOUBLE PRECISION NOT NULL,
    document TEXT NOT NULL
);
