"""Model backends as configured by the settings."""
