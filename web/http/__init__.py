"""HTTP itself: routing, middleware, problems, ranges, uploads' bodies. Knows no job."""
