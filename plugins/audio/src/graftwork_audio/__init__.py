"""Graftwork's audio plugin; what it registers is in `plugin`."""
