"""SQLSTATEs that `rowhouse.refuse()` raises: checks that only the running statement can make."""

MAX_AFFECTED = "RH001"
ROW_POLICY = "RH002"
