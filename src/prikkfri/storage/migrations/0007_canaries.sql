CREATE TABLE sms_canary (
    token TEXT PRIMARY KEY,
    message TEXT NOT NULL,
    link TEXT NOT NULL,
    phone TEXT NOT NULL,
    made_at DOUBLE PRECISION NOT NULL,
    arrived_at DOUBLE PRECISION NOT NULL,
    stray_at DOUBLE PRECISION NOT NULL,
    stray_on TEXT NOT NULL,
    verdict TEXT NOT NULL,
    decided_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX sms_canary_open ON sms_canary (made_at) WHERE verdict = '';
CREATE INDEX sms_canary_made ON sms_canary (made_at);
CREATE INDEX sms_canary_link ON sms_canary (link, made_at);
CREATE TABLE sms_route (
    link TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    changed_at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    reason TEXT NOT NULL,
    stopped_at DOUBLE PRECISION NOT NULL,
    exposed_since DOUBLE PRECISION NOT NULL,
    likely_since DOUBLE PRECISION NOT NULL
);
