"""Faust agents: topic -> decision or processor -> topic. Each step has a file with its `make`."""
