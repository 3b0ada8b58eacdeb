"""Where a job can go on, as its attempt said last, and whether the store knows. Pure.

A checkpoint never gets ahead of the log: it leaves with the entries that were said before it, or after them.
"""


class Checkpoint:
    """Owns the latest checkpoint of an attempt. It begins with the one that the attempt was given, which is stored."""

    __slots__ = ("_known", "after", "packed")

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed = packed  # None: there is none
        self.after = 0  # offset of the last log entry that was said before it
        self._known = packed  # what the store has

    def set(self, packed: bytes, after: int) -> None:
        """A new one was said, after the log entry of this offset."""
        self.after = after  # first: a reader in another thread takes it for later than it is, never for earlier
        self.packed = packed

    def due(self, through: int) -> bytes | None:
        """What to send along with the log up to the offset `through`; None: nothing, or not yet."""
        packed = self.packed
        return packed if packed is not self._known and through >= self.after else None

    def stored(self, packed: bytes) -> None:
        """The store has this one."""
        self._known = packed

    def forget(self) -> None:
        """The store may have gone back: it is told again."""
        self._known = None
