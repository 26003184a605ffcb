"""Tools to inspect a shard set: statistics, pictures, checks, and rebuilding one sample."""
