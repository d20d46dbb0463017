"""The commands, by topic: each calls the function of its name, and does no science."""
