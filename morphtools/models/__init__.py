"""Encoders, heads and losses, on any Keras backend."""
