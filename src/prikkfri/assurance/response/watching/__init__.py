"""From outcomes to alarms, and from alarms to incidents."""
