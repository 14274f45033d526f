"""Downloads from servers that nobody vouches for."""
