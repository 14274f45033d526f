"""Models in child processes of their own."""
