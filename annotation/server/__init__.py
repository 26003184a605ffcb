"""One Label Studio server, spoken to over HTTP: the only network code."""
