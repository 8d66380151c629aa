CREATE INDEX incident_hit_unnamed ON incident_hit (device) WHERE customer = '';
CREATE TABLE device_named (
    device TEXT PRIMARY KEY
);
INSERT INTO device_named (device)
SELECT DISTINCT device FROM incident_hit
WHERE customer = '' AND device <> '' AND device IN (SELECT device FROM device_holder);
