"""Routes of the systems that kinolog replaces, a thin module each. docs/compat.md maps their terms to kinolog's."""
