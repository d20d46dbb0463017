"""The kinds of question about a galaxy: how answers are read, kept, scored and drawn."""
