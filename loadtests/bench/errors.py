"""What ends a run."""


class BenchError(Exception):
    """The run cannot go on, or its numbers would say nothing. The message is for people."""
