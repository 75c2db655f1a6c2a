"""A real Prometheus over real processes, with faults; see `python -m loadtests.prometheus_run --help`."""
