"""External tools: how they are run, confined and read."""
