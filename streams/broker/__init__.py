"""The embedded broker: a single-node KRaft Kafka as a child process."""
