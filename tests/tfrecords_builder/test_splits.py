import numpy as np
from scipy.stats import kstest, pearsonr

from tfrecords_builder.splits import FRACTIONS, SPLITS, hash_integer, hash_uniform, split_of

IDS = [f"J{i:06d}" for i in range(20_000)]


def test_the_shares_of_the_splits_are_those_that_were_asked_for():
    drawn = np.array([split_of(name) for name in IDS])
    for split, share in zip(SPLITS, FRACTIONS, strict=True):
        error = np.sqrt(share * (1 - share) / len(IDS))
        assert abs(np.mean(drawn == split) - share) < 4 * error
    assert {split_of(name, fractions=(0.0, 0.0, 1.0)) for name in IDS[:100]} == {"test"}


def test_numbers_of_names_are_uniform_and_those_of_other_seeds_and_salts_are_independent():
    u = np.array([hash_uniform(name) for name in IDS])
    assert kstest(u, "uniform").pvalue > 0.001
    for other in ([hash_uniform(name, 1) for name in IDS], [hash_uniform(name, salt="draw") for name in IDS]):
        assert abs(pearsonr(u, other).statistic) < 4 / np.sqrt(len(IDS))


def test_a_split_never_changes_between_versions():
    """By `printf 'split:0:J000000' | b2sum --length 64`."""
    assert hash_integer("J000000") == 0x42AF817EDC26AC88
