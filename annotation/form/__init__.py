"""Records <-> what annotators see and paint: pure, no network."""
