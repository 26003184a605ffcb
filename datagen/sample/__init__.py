"""One sample, from its recipe and its sources to its streams; pure functions on arrays."""
