CREATE TABLE journal_stream (
    stream TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    trimmed_to BIGINT NOT NULL,
    overflowed BIGINT NOT NULL
);
CREATE TABLE journal_batch (
    stream TEXT NOT NULL,
    position BIGINT NOT NULL,
    outcomes BIGINT NOT NULL,
    written_at DOUBLE PRECISION NOT NULL,
    payload {blob} NOT NULL,
    PRIMARY KEY (stream, position)
);
CREATE TABLE journal_follower (
    follower TEXT NOT NULL,
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (follower, stream)
);
