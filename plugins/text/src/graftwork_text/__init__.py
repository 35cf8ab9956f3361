"""Graftwork's text plugin; what it registers is in `plugin`."""
