"""Ordered labels for Graftwork."""
