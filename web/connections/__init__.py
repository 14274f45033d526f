"""Connections before there is a request: which are accepted, and whose bytes are parsed next. It knows no routes."""
