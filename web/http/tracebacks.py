"""Errors that are kept with a connection: their tracebacks would keep it in turn."""


def forget_tracebacks(error: BaseException | None) -> None:
    """Leave an error, and those that it followed from, without tracebacks.

    A traceback leads to frames that have the connection, which has the error: a cycle, which only a full collection of
    garbage frees. Under abuse there is one in 25 minutes: 2 MB a minute waited for it.
    """
    seen = set[int]()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            waiting += [one.__context__, one.__cause__]
