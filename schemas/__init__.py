"""What travels: messages, rows and errors as data. No behaviour; imports nothing of ours."""
