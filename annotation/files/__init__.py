"""Photos, their companions, and what was pulled: the files on the user's side."""
