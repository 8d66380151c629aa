CREATE TABLE incident_piece (
    incident TEXT NOT NULL,
    number BIGINT NOT NULL,
    content {blob} NOT NULL,
    PRIMARY KEY (incident, number)
);
CREATE TABLE incident_checkpoint (
    incident TEXT PRIMARY KEY,
    format TEXT NOT NULL,
    checksum {blob} NOT NULL,
    content {blob} NOT NULL
);
