"""Addresses of Zenodo for Graftwork."""
