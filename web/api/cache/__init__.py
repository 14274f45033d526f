"""Handlers of /v1/cache-assets."""
