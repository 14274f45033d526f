"""Control: decides."""
