"""Usage of cached media, shared between replicas."""
