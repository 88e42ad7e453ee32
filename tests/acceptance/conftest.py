"""The program in this process, as the tests of serving have it."""

from serving.conftest import trabecula

__all__ = ["trabecula"]
