CREATE TABLE sms_trust (
    link TEXT PRIMARY KEY,
    trust TEXT NOT NULL
);
