"""Many pictures at once: threads, the order of answers, and a bar that shows how far it is."""

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from service.client.errors import SightlineClientError

_Item = TypeVar("_Item")
_Told = TypeVar("_Told")

#: Answers that may wait for one before them, for each thread.
_AHEAD: Final = 4


def each(
    items: Iterable[_Item], act: Callable[[_Item], _Told], jobs: int, stop: Callable[[], None]
) -> Generator[tuple[_Item, _Told | Exception], None, None]:
    """What ``act`` gives for each item, in order, by so many threads.

    What the client and files raise is given like an answer. An iterator that is closed early
    begins no more items, calls ``stop``, and waits for those that are being done.
    """
    waiting: deque[tuple[_Item, Future[_Told]]] = deque()

    def outcome() -> tuple[_Item, _Told | Exception]:
        item, future = waiting.popleft()
        try:
            return item, future.result()
        except (SightlineClientError, OSError) as error:
            return item, error

    pool = ThreadPoolExecutor(jobs)
    try:
        for item in items:
            waiting.append((item, pool.submit(act, item)))
            if len(waiting) > jobs * _AHEAD:
                yield outcome()
        while waiting:
            yield outcome()
    finally:
        stop()
        pool.shutdown(cancel_futures=True)


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on the error stream, if that is a terminal and there is more than one thing to do.

    Gives what is to be called, from any thread, when one is done.
    """
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
    except ModuleNotFoundError:  # httpx alone is installed, which is enough to work
        yield lambda: None
        return
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, soft_wrap=True),  # a path is not to be broken
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines above the bar; but a pipe stays a pipe
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
