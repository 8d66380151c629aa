CREATE INDEX sms_message_waiting_from ON sms_message (target, origin, due_at, accepted_at, part)
    WHERE state = 'waiting';
