"""Alphas to a Label Studio server and back, without losing a grey level."""
