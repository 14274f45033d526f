"""Faust agents: topic -> decision or processor -> topic."""
