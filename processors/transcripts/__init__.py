"""Transcripts: the captions and the passages for search that are made of them. Pure."""
