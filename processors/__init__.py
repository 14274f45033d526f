"""The work: one file per step, and the tools they share. Knows no Kafka and no environment."""
