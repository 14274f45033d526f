"""The search index: full text and vectors."""
