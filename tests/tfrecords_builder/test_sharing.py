from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import pytest

from tfrecords_builder.sharing import results_of, share_of

SHARDS = {f"s{i}": i for i in range(7)}


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_parts_share_all_shards_and_none_is_in_two(n):
    parts = [share_of(SHARDS, f"{i}/{n}") for i in range(1, n + 1)]
    assert sorted(name for part in parts for name in part) == sorted(SHARDS)
    assert share_of(SHARDS, None) == SHARDS


@pytest.mark.parametrize("part", ["0/3", "4/3", "2", "a/b", "1/0", ""])
def test_an_impossible_part_is_refused(part):
    with pytest.raises(ValueError, match="part must look like 2/5"):
        share_of(SHARDS, part)


def test_an_executor_gives_what_a_loop_gives():
    with ThreadPoolExecutor(3) as executor:
        assert dict(results_of(str.upper, SHARDS, executor=executor)) == dict(results_of(str.upper, SHARDS))


class KilledWorker(Exception):
    """Named like that of distributed."""


@pytest.mark.parametrize(
    ("error", "message"),
    [(CancelledError(), "the cluster dropped the work"), (KilledWorker(), "killed every worker that tried it")],
)
def test_a_cluster_that_fails_is_one_sentence_and_the_rest_is_cancelled(error, message):
    futures = []

    class Failing(ThreadPoolExecutor):
        def submit(self, work, name):
            futures.append(Future())
            if len(futures) == 1:
                futures[0].set_exception(error)
            return futures[-1]

    with pytest.raises(ChildProcessError, match=message):
        list(results_of(str.upper, SHARDS, executor=Failing(1)))
    assert all(future.cancelled() for future in futures[1:])


def test_an_error_of_the_work_is_passed_on():
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError):
        list(results_of(lambda name: 1 / 0, SHARDS, executor=executor))
