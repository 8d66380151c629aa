CREATE TABLE outcome_day (
    day BIGINT PRIMARY KEY,
    left_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE outcome_span (
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    day BIGINT NOT NULL,
    first_position BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    PRIMARY KEY (stream, incarnation, day)
);
CREATE TABLE outcome_head (
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (stream, incarnation)
);
INSERT INTO outcome_span (stream, incarnation, day, first_position, last_position)
    SELECT stream, incarnation, -1, MIN(position), MAX(position) FROM outcome GROUP BY stream, incarnation;
INSERT INTO outcome_head (stream, incarnation, position) SELECT stream, incarnation, last_position FROM outcome_span;
INSERT INTO outcome_day (day, left_at) SELECT DISTINCT day, 0.0 FROM outcome_span;
