ALTER TABLE sms_message ADD COLUMN user_reference BIGINT;
