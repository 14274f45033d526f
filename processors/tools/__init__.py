"""External tools: running, sandboxing and parsing their output."""
