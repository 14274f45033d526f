"""Timelines: what happened to a job, and how all jobs stood at a past moment, from the events on the log."""
