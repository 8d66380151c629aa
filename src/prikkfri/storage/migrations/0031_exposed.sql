CREATE INDEX outcome_route ON outcome (time) WHERE step = 'route';
CREATE INDEX outcome_delivery ON outcome (promise) WHERE step = 'deliver' AND promise <> '';
