"""Who may do what: tokens, tickets, signed URLs, audit."""
