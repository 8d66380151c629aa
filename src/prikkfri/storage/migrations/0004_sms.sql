CREATE TABLE sms_message (
    id TEXT PRIMARY KEY,
    submission TEXT NOT NULL,
    part BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    origin TEXT NOT NULL,
    target TEXT NOT NULL,
    message_class TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    sealed {blob},
    registered BIGINT NOT NULL,
    accepted_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    attempts BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    next_hop_id TEXT NOT NULL,
    attempted_at DOUBLE PRECISION NOT NULL,
    sent_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION NOT NULL,
    receipt TEXT NOT NULL,
    receipt_state BIGINT NOT NULL,
    receipt_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX sms_message_waiting ON sms_message (target, due_at) WHERE state = 'waiting';
CREATE INDEX sms_message_next_hop ON sms_message (target, next_hop_id) WHERE next_hop_id <> '';
CREATE INDEX sms_message_open ON sms_message (expires_at) WHERE state IN ('waiting', 'in-doubt', 'sent');
CREATE INDEX sms_message_in_doubt ON sms_message (target, due_at) WHERE state = 'in-doubt';
CREATE INDEX sms_message_sending ON sms_message (target) WHERE state = 'sending';
CREATE INDEX sms_message_submission ON sms_message (submission) WHERE parts > 1;
CREATE INDEX sms_message_receipt ON sms_message (origin, receipt_at) WHERE receipt = 'waiting';
CREATE INDEX sms_message_receipt_sending ON sms_message (origin) WHERE receipt = 'sending';
CREATE INDEX sms_message_ended ON sms_message (ended_at) WHERE ended_at > 0;
CREATE TABLE sms_event (
    message TEXT NOT NULL,
    time DOUBLE PRECISION NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX sms_event_message ON sms_event (message);
CREATE TABLE sms_quarantined_receipt (
    link TEXT NOT NULL,
    next_hop_id TEXT NOT NULL,
    state BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    reason TEXT NOT NULL,
    held_at DOUBLE PRECISION NOT NULL
);
