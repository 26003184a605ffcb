"""The data contract: what a source, a sample and a shard are, and the bytes that carry them."""
