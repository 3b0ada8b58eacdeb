"""Tasks for tests of retries, each in a process."""

from windsock import Progress, Retry, task


@task(process=True)
def asks(after_s: float, progress: Progress) -> int:
    """Asks for one more attempt."""
    if progress.attempt == 1:
        raise Retry("not there yet", after_s=after_s)
    return progress.attempt


@task(process=True, retry_on=ConnectionError, backoff_s=0)
def breaks(progress: Progress) -> int:
    """Raises what is retried, then what is not."""
    if progress.attempt == 1:
        raise ConnectionResetError("gone")
    raise KeyError("k")
