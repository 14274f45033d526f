"""Handlers of /v1/jobs."""
