"""What ties a process of the pool to its worker: one must not outlive the other, nor hear what the other is told."""

import contextlib
import fcntl
import os
import signal


def leave_terminal() -> None:
    """Be a process group of its own, and take no notice of Ctrl-C and SIGTERM: what is to end is told by the worker.

    A service manager signals all processes at once; a child that obeyed would take its job down while the worker
    drains. They are handlers, not SIG_IGN, which programs started here would inherit.
    """
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _heed_not)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _heed_not(number: int, frame: object) -> None:
    """The worker says when to end."""


def die_with(lifeline: int) -> None:
    """End with the process group when the other end of the pipe `lifeline` closes.

    On Linux the kernel does it, also while C code holds the GIL, and whichever thread of the worker made this process,
    which a parent-death signal would ask. Elsewhere it is left to the thread that listens to the worker.
    """
    os.set_inheritable(lifeline, False)
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def kill_group(pid: int) -> None:
    """Kill a process that leads its group, and what it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def cause_of_death(exit_code: int) -> str:
    """An exit code in words; below 0 it is a signal."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return name + _SIGNALS.get(name, "")


_SIGNALS = {
    "SIGKILL": " (killed; by the kernel, if memory ran out)",
    "SIGSEGV": " (segmentation fault)",
    "SIGBUS": " (bus error)",
    "SIGABRT": " (aborted)",
    "SIGFPE": " (arithmetic error)",
    "SIGILL": " (illegal instruction)",
}
