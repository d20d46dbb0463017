"""The browser application: look at a survey, search it, rate and label its galaxies, all on this machine."""
