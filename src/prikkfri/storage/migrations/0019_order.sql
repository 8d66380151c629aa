DROP INDEX sms_message_waiting;
CREATE INDEX sms_message_waiting ON sms_message (target, due_at, accepted_at, part) WHERE state = 'waiting';
DROP INDEX sms_message_waiting_canary;
CREATE INDEX sms_message_waiting_canary ON sms_message (target, message_class, due_at, accepted_at, part)
    WHERE state = 'waiting' AND message_class = 'canary';
CREATE INDEX sms_message_doubtful ON sms_message (target, recipient, id) WHERE state = 'in-doubt';
CREATE TABLE sms_reference (
    slot BIGINT PRIMARY KEY,
    reference BIGINT NOT NULL
);
