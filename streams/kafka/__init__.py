"""Kafka: topics, envelope, producers, readers."""
