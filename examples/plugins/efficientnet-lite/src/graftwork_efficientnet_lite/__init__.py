"""EfficientNet-Lite0 as a third-party Graftwork plugin."""
