"""Representations in, tables and pictures out; free of TensorFlow."""
