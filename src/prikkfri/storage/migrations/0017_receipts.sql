ALTER TABLE sms_message ADD COLUMN next_hop_key TEXT NOT NULL DEFAULT '';
UPDATE sms_message SET next_hop_key = CASE WHEN LTRIM(LOWER(TRIM(next_hop_id)), '0') = ''
    THEN SUBSTR(TRIM(next_hop_id), 1, 1) ELSE LTRIM(LOWER(TRIM(next_hop_id)), '0') END WHERE next_hop_id <> '';
DROP INDEX sms_message_next_hop;
CREATE INDEX sms_message_next_hop ON sms_message (target, next_hop_key, id) WHERE next_hop_key <> '';
CREATE INDEX sms_message_quarantined ON sms_message (ended_at) WHERE state = 'quarantined';
CREATE TABLE sms_network_receipt (
    id TEXT PRIMARY KEY,
    link TEXT NOT NULL,
    next_hop_id TEXT NOT NULL,
    other_id TEXT NOT NULL,
    next_hop_key TEXT NOT NULL,
    other_key TEXT NOT NULL,
    reference BIGINT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    told BIGINT NOT NULL,
    word TEXT NOT NULL,
    error TEXT NOT NULL,
    came_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    tries BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    changed_at DOUBLE PRECISION NOT NULL,
    changed_by TEXT NOT NULL
);
INSERT INTO sms_network_receipt
    SELECT 'r' || ROW_NUMBER() OVER (ORDER BY held_at), link, next_hop_id, '', '', '', -1, recipient, '', state, '', '000',
        held_at, held_at, 0, 'held', reason, held_at, '' FROM sms_quarantined_receipt;
DROP TABLE sms_quarantined_receipt;
CREATE INDEX sms_network_receipt_due ON sms_network_receipt (due_at, id) WHERE state = 'waiting';
CREATE INDEX sms_network_receipt_key ON sms_network_receipt (link, next_hop_key, id) WHERE state = 'waiting';
CREATE INDEX sms_network_receipt_other_key ON sms_network_receipt (link, other_key) WHERE state = 'waiting';
CREATE INDEX sms_network_receipt_held ON sms_network_receipt (changed_at) WHERE state = 'held';
CREATE INDEX sms_network_receipt_held_by_link ON sms_network_receipt (link, changed_at) WHERE state = 'held';
CREATE INDEX sms_network_receipt_discarded ON sms_network_receipt (changed_at) WHERE state = 'discarded';
CREATE TABLE sms_link_habit (
    link TEXT PRIMARY KEY,
    same BIGINT NOT NULL,
    decimals BIGINT NOT NULL,
    hexadecimals BIGINT NOT NULL,
    missed BIGINT NOT NULL
)
