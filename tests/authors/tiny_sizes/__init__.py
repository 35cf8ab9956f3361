"""Encoders of given sizes by a scheme: `tiny:64` is an encoder of images with 64 features."""
