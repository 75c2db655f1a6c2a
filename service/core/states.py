"""SQLSTATEs that are treated apart. Those from `RH001` on are raised by `rowhouse.refuse()`: checks that only the
running statement can make.
"""

FOREIGN_KEY = "23503"
NOT_NULL = "23502"
QUERY_CANCELED = "57014"

MAX_AFFECTED = "RH001"
ROW_POLICY = "RH002"
EMBED_LIMIT = "RH003"
