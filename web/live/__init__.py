"""Live updates: state changes and progress for websocket and SSE clients."""
