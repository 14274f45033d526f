"""Background tasks of the web process: retention, cache eviction, cleanup, audit."""
