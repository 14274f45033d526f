"""The read model: the compacted changelogs materialised into SQLite."""
