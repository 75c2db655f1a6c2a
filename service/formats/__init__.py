"""What rows leave the service as, besides pages of JSON."""
