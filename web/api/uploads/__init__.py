"""Handlers of /v1/uploads: form, raw, resumable, direct to a bucket."""
