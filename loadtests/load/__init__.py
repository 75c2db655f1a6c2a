"""Loads a service as its real users do, with Locust: `make load`, or `python -m loadtests.load --help`."""
