"""What all commands share: how they start and end, what they print, and how they show progress."""
