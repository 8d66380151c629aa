"""The console: what the people on duty see and do."""
