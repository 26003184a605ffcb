"""Matting without a network, by pymatting: alpha from a trimap, and colours under an alpha."""
