"""Model backends named by the settings."""
