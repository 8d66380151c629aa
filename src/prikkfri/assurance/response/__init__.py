"""Incident response: from outcomes to incidents, lists, the public word and credits."""
