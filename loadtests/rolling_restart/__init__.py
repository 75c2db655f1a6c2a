"""Nothing fails while instances are restarted, nothing is lost by those who follow."""
