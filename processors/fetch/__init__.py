"""Downloads from untrusted servers."""
