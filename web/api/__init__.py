"""Request handlers, one file per noun."""
