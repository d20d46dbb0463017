"""Turn a catalogue and its images into TFRecord shards, and read them back."""

_HOMES = {
    "Image": "images",
    "Records": "records",
    "build_records": "build",
    "check_catalog": "catalog",
    "parse": "parsing",
    "read_catalog": "catalog",
    "read_pixels": "records",
    "split_of": "splits",
    "verify_records": "verify",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
