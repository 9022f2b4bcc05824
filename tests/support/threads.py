"""Calls of one function in several threads at once."""
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def call_in_threads(work, n=8):
    """The results of `work()` in n threads that start together."""
    start = Barrier(n)

    def begin(_):
        start.wait()
        return work()
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(begin, range(n)))
