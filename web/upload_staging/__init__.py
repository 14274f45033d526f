"""Uploads in progress on this replica's disk."""
