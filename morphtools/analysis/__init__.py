"""Representations in; rankings, tables and pictures out. Free of TensorFlow."""
