"""What can be asked of a galaxy: how answers are kept, scored and drawn."""
