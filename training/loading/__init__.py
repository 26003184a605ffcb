"""Shards -> batches of tensors."""
