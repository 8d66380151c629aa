CREATE TABLE incident (
    id TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    opened_at DOUBLE PRECISION NOT NULL,
    document TEXT NOT NULL,
    answers TEXT NOT NULL
);
CREATE INDEX incident_opened ON incident (opened_at);
CREATE TABLE incident_impact (
    incident TEXT PRIMARY KEY,
    made_at DOUBLE PRECISION NOT NULL,
    digest TEXT NOT NULL,
    asked BIGINT NOT NULL,
    unsettled BIGINT NOT NULL,
    since DOUBLE PRECISION NOT NULL,
    until DOUBLE PRECISION NOT NULL,
    incomplete TEXT NOT NULL,
    frozen_digest TEXT NOT NULL,
    frozen_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE incident_hit (
    incident TEXT NOT NULL,
    person TEXT NOT NULL,
    customer TEXT NOT NULL,
    device TEXT NOT NULL,
    service TEXT NOT NULL,
    step TEXT NOT NULL,
    first_asked DOUBLE PRECISION NOT NULL,
    tries BIGINT NOT NULL,
    unanswered BIGINT NOT NULL,
    last_reason TEXT NOT NULL,
    kept_later_at DOUBLE PRECISION,
    observed BOOLEAN NOT NULL,
    PRIMARY KEY (incident, person)
);
CREATE INDEX incident_hit_customer ON incident_hit (customer) WHERE customer <> '';
CREATE TABLE service_credit (
    credit_key TEXT PRIMARY KEY,
    incident TEXT NOT NULL,
    customer TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    policy TEXT NOT NULL,
    reason TEXT NOT NULL,
    given_by TEXT NOT NULL,
    given_at DOUBLE PRECISION NOT NULL,
    told_message TEXT NOT NULL,
    told_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX service_credit_incident ON service_credit (incident);
CREATE TABLE contact (
    id TEXT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    service TEXT NOT NULL,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL
);
CREATE INDEX contact_at ON contact (at);
