"""The interface: REST, live channels, the page."""
