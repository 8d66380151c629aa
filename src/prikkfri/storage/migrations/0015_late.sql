CREATE TABLE incident_late (
    incident TEXT PRIMARY KEY
);
