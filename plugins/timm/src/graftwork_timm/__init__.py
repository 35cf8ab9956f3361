"""The image encoders of timm as a Graftwork plugin."""
