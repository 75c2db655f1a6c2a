"""What it costs to be watched: requests a second with everything on, by those with everything off."""
