"""One process: exit codes, watchdog, locks, ports, logs."""
