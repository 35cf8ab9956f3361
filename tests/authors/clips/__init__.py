"""Clips of frames as a Graftwork plugin: animated GIFs, and folders of numbered frames."""
