"""Incident response: from outcomes to incidents, lists, public word and credits. (The lead wires this: service.py,
store.py, migration 0006, `prikkfri incidents` and `affected`.)"""
