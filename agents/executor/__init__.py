"""Executor: runs steps."""
