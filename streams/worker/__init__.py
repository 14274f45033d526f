"""Faust workers: the app, its guards, and the patches of Faust and aiokafka."""
