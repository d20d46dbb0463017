"""Turn a catalogue and its images into TFRecord shards that any survey tool can read back."""
