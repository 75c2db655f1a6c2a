"""Publishing to Posit Connect."""
