"""Control: the process that runs the state machine of jobs."""
