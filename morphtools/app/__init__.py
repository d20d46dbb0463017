"""The browser application: a survey seen, searched, rated and labelled on one page, kept on this machine."""
