"""Authentication and authorization: tokens, tickets, signed URLs, audit."""
