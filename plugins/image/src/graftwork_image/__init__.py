"""Graftwork's image plugin; what it registers is in `plugin`."""
