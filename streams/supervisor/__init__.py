"""`kinolog up`: all parts as children of one process."""
