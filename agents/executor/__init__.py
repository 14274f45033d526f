"""Executor: the process that runs the steps of a lane."""
