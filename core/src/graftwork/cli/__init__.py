"""The command line. Listing and help stay on the plain floor; commands that compute load the rest when they run."""

from graftwork.cli.app import main

__all__ = ["main"]
