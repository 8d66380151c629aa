CREATE INDEX service_credit_of ON service_credit (incident, credit_key);
DROP INDEX service_credit_incident;
CREATE INDEX device_holder_seen ON device_holder (last_seen)
