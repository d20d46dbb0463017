"""Records to `tf.data`, and augmentations."""
