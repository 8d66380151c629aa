CREATE TABLE sms_waiting (
    target TEXT PRIMARY KEY,
    messages BIGINT NOT NULL
);
INSERT INTO sms_waiting (target, messages)
    SELECT target, COUNT(*) FROM sms_message WHERE state = 'waiting' AND message_class <> 'canary' GROUP BY target;
ALTER TABLE sms_message ADD COLUMN doubts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sms_message ADD COLUMN sessions_ended BIGINT NOT NULL DEFAULT 0;
UPDATE sms_message SET doubts = 1 WHERE state = 'in-doubt';
CREATE INDEX sms_message_waiting_canary ON sms_message (target, message_class, due_at)
    WHERE state = 'waiting' AND message_class = 'canary';
CREATE INDEX sms_message_attempted ON sms_message (target, attempted_at, id)
    WHERE attempted_at <> 0 AND message_class <> 'canary';
DROP INDEX sms_message_open;
CREATE INDEX sms_message_open ON sms_message (state, expires_at) WHERE ended_at = 0;
DROP INDEX sms_message_ended;
CREATE INDEX sms_message_ended ON sms_message (ended_at) WHERE ended_at > 0 AND state <> 'quarantined';
