"""Backup and restore: the log, the signing secret and the store, as files."""
