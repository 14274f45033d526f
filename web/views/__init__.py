"""The JSON that clients get: types, and how rows become it."""
