"""A stand-in for Posit Connect on loopback, for the vendor's own command to publish to."""
