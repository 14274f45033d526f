"""Dispatch in control: the rows of jobs and the reports of executors in, requests to executors out."""
