"""The wiring: settings, topics, envelope, broker, Faust apps, command line."""
