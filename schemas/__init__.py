"""Messages, table rows and errors as data. No behaviour; imports no other package of kinolog."""
