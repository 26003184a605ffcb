"""`matte`: a trained model at work, and how good its alphas are."""
