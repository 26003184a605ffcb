"""Foregrounds x backgrounds -> shards."""
