DROP INDEX sms_message_doubtful;
CREATE INDEX sms_message_doubtful ON sms_message (target, recipient, id) WHERE doubts > 0 AND ended_at = 0;
