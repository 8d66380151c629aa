CREATE TABLE sms_part_reference (
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    wide BIGINT NOT NULL,
    reference BIGINT NOT NULL,
    origin TEXT NOT NULL,
    chosen BIGINT NOT NULL,
    total BIGINT NOT NULL,
    numbers {blob} NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (sender, recipient, wide, reference)
);
CREATE INDEX sms_part_reference_at ON sms_part_reference (at);
