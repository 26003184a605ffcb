"""Photos, their companions, and what was pulled: the files on this side."""
