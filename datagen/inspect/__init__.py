"""What people ask of a shard set: counts, pictures, checks, one sample again."""
