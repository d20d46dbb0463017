"""The split of a galaxy follows from its id alone, so that it stays the same as the catalogue grows."""

import hashlib

SPLITS = ("train", "val", "test")
FRACTIONS = (0.7, 0.1, 0.2)


def hash_integer(id_str: str, seed: int = 0, salt: str = "split") -> int:
    """An integer below 2⁶⁴ that depends on `id_str`, `seed` and `salt` only, on any machine."""
    digest = hashlib.blake2b(f"{salt}:{seed}:{id_str}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def hash_uniform(id_str: str, seed: int = 0, salt: str = "split") -> float:
    """`hash_integer` as a number from 0 to 1."""
    return hash_integer(id_str, seed, salt) / 2**64


def split_of(id_str: str, seed: int = 0, fractions=FRACTIONS) -> str:
    """The split of a galaxy: `train`, `val` or `test`.

    Args:
        id_str: The galaxy.
        seed: Another seed gives another split.
        fractions: Expected shares of train, val and test, which sum to one. The default is that of
            Walmsley et al. (2022), section 4.

    Returns:
        The name of the split.
    """
    u = hash_uniform(id_str, seed)
    if u < fractions[0]:
        return "train"
    return "val" if u < fractions[0] + fractions[1] else "test"
