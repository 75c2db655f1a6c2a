"""Windows of the rules, shortened so that a fault fires its alert while one looks on. Thresholds stay as they are.

Five minutes stay longer than the ten seconds after which each process looks at the database again.
"""

_SHORT = {
    "0s": "0s", "1m": "5s", "2m": "14s", "5m": "12s", "10m": "8s", "15m": "60s", "30m": "10s", "1h": "15s",
    "2h": "12s", "6h": "16s", "1d": "25s", "3d": "35s",
}  # fmt: skip


def shortened(window: str) -> str:
    return _SHORT[window]
