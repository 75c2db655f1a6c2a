"""Nothing grows: a soak at 70 % of what the machine can do, for twenty minutes."""
