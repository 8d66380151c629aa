CREATE TABLE outcome (
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    position BIGINT NOT NULL,
    time DOUBLE PRECISION NOT NULL,
    service TEXT NOT NULL,
    step TEXT NOT NULL,
    layer TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    customer TEXT NOT NULL,
    device TEXT NOT NULL,
    promise TEXT NOT NULL,
    observed BOOLEAN NOT NULL,
    dimensions TEXT NOT NULL,
    PRIMARY KEY (stream, incarnation, position)
);
CREATE INDEX outcome_time ON outcome (time);
CREATE INDEX outcome_broken ON outcome (time) WHERE verdict = 'broken';
CREATE INDEX outcome_customer ON outcome (customer, time) WHERE customer <> '';
CREATE INDEX outcome_device ON outcome (device, time) WHERE device <> '';
CREATE TABLE device_holder (
    device TEXT NOT NULL,
    customer TEXT NOT NULL,
    first_seen DOUBLE PRECISION NOT NULL,
    last_seen DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (device, customer)
);
CREATE INDEX device_holder_customer ON device_holder (customer);
CREATE TABLE outcome_count (
    second BIGINT NOT NULL,
    service TEXT NOT NULL,
    step TEXT NOT NULL,
    layer TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    observed BOOLEAN NOT NULL,
    outcomes BIGINT NOT NULL,
    PRIMARY KEY (second, service, step, layer, verdict, reason, observed)
);
CREATE TABLE alarm (
    text TEXT PRIMARY KEY,
    first_at DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    times BIGINT NOT NULL,
    seen_by TEXT NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE console_account (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    created_by TEXT NOT NULL
);
CREATE TABLE console_session (
    token_digest TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE look (
    look TEXT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX look_at ON look (at)
