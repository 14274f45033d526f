"""The routes of the systems that kinolog replaces, one thin file each. docs/compat.md maps their terms to kinolog's."""
