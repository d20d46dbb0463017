"""The verbs that fit."""
