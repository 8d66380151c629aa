CREATE TABLE subscriber (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL
);
CREATE UNIQUE INDEX subscriber_email ON subscriber (email) WHERE email <> '';
CREATE TABLE mobile_number (
    msisdn TEXT NOT NULL,
    starts DOUBLE PRECISION NOT NULL,
    ends DOUBLE PRECISION NOT NULL,
    subscriber_id TEXT NOT NULL,
    product TEXT NOT NULL,
    PRIMARY KEY (msisdn, starts)
);
CREATE INDEX mobile_number_subscriber ON mobile_number (subscriber_id);
CREATE TABLE fixed_subscription (
    subscriber_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    product TEXT NOT NULL,
    starts DOUBLE PRECISION NOT NULL,
    ends DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (subscriber_id, kind, product, starts)
);
CREATE TABLE subscriber_import (
    id BIGINT PRIMARY KEY,
    batches BIGINT NOT NULL
);
INSERT INTO subscriber_import (id, batches) VALUES (1, 0);
