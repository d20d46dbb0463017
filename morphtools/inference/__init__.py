"""The verbs that apply a model, and what they return."""
