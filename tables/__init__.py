"""The decisions: reducer, tables, pipelines, clock."""
