"""Distributes shards to many processes: parts of array jobs, processes on this machine, workers of a cluster."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from typing import Any


def share_of(shards: dict[str, int], part: str | None) -> dict[str, int]:
    """The shards of part `i/n`; all shards if there is no part.

    Raises:
        ValueError: The part does not look like 2/5.
    """
    if part is None:
        return shards
    i, _, n = str(part).partition("/")
    if not (i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise ValueError(f"part must look like 2/5, from 1/5 to 5/5, got {part!r}")
    return dict(list(shards.items())[int(i) - 1 :: int(n)])


def results_of(
    work: Callable[[str], Any], names: Iterable[str], workers: int = 1, executor: Executor | None = None
) -> Iterator[tuple[str, Any]]:
    """Does the work for every name, and yields each name and result as soon as it is done.

    Args:
        work: The function; must be picklable if it goes to other processes.
        names: Names of the shards.
        workers: Number of processes; 1 stays in this process.
        executor: Where to work instead.

    Raises:
        ChildProcessError: A worker died, or the cluster gave up.
    """
    names = list(names)
    if executor is None and (workers == 1 or len(names) <= 1):
        for name in names:
            yield name, work(name)
        return
    pool = executor or _processes(min(workers, len(names)), work)
    futures: dict[Future, str] = {}
    try:
        futures = {pool.submit(work, name): name for name in names}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise ChildProcessError("a worker died, perhaps because memory ran out; the same call resumes") from error
    except CancelledError as error:
        raise ChildProcessError("the cluster dropped the work (its scheduler ended?); the same call resumes") from error
    except Exception as error:
        if type(error).__name__ != "KilledWorker":  # from dask.distributed, which may not be installed
            raise
        raise ChildProcessError("a shard killed every worker that tried it; perhaps memory ran out") from error
    finally:
        for future in futures:
            future.cancel()
        if executor is None:
            pool.shutdown(cancel_futures=True)


def _processes(workers: int, work: Callable) -> ProcessPoolExecutor:
    """A pool of processes that are not forked from this one, because TensorFlow would make them hang."""
    if "forkserver" not in get_all_start_methods():
        return ProcessPoolExecutor(workers, get_context("spawn"))
    context = get_context("forkserver")
    context.set_forkserver_preload([getattr(work, "func", work).__module__])  # imported once, not by every worker
    return ProcessPoolExecutor(workers, context)
