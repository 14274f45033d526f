"""HTTP itself: routing, middleware, problems, byte ranges, upload bodies. It knows no jobs."""
