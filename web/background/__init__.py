"""Loops of the web process: retention, cache eviction, cleanup."""
