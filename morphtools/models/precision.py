"""The precision in which new layers compute."""

import contextlib

import keras


@contextlib.contextmanager
def precision(mixed: bool):
    """A context in which new layers compute in bfloat16 if `mixed`; their weights stay in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
