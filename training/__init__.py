"""The two-decoder matting model, trained on shards."""
