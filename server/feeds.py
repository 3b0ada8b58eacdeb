"""The feeds of a node: windows that clients share, kept by messages and read from the store where those do not do."""

from server.broker import Broker, Change, Page
from server.reading import list_wish
from server.reads import Reads
from server.watcher import Watcher
from server.window import Match, Window


class Feeds:
    """Owns the windows."""

    def __init__(self, broker: Broker, reads: Reads) -> None:
        self._broker = broker
        self._reads = reads
        self._held: dict[tuple[Match, int], Window] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def windows(self) -> list[Window]:
        """All of them."""
        return list(self._held.values())

    def window(self, match: Match, limit: int) -> Window:
        """The window of a feed; equal feeds share one, whatever the number of dashboards."""
        return self._held.get((match, limit)) or Window(match, limit)

    def follow(self, window: Window, watcher: Watcher) -> None:
        """Be told of a feed."""
        self._held[window.match, window.limit] = window
        window.keeper = self
        window.watchers[watcher] = None
        if not window.loaded and not window.loading:
            self._load(window)

    def idle(self, watched: Window) -> None:
        """A window goes with its last watcher."""
        del self._held[watched.match, watched.limit]

    def apply(self, seq: int, change: Change) -> None:
        """Take in a change of a job."""
        for window in self.windows:
            if window.apply(seq, change.job, change.was, change.gone):
                window.tell()
            if window.hungry and not window.loading:
                self._fill(window)

    # what is read from the store

    def resync(self) -> None:
        """Read all anew; followers get a new snapshot."""
        self._reads.outdated.update(window for window in self.windows if window.loading)
        for window in self.windows:
            if not window.loading:
                self._load(window)

    def reread(self) -> None:
        """Compare all with the store; followers are told only of what was missed."""
        for window in self.windows:
            if window.loaded and not window.loading:
                window.start_page()
                self._reads.begin(self._check(window))

    def _load(self, window: Window) -> None:
        window.start_page()
        self._reads.begin(self._page(window))

    def _fill(self, window: Window) -> None:
        window.start_page()
        self._reads.begin(self._older(window))

    async def _page(self, window: Window) -> None:
        page = await self._read(window, counts=True)
        if page is not None:
            self._took(window, window.load(page.seq, page.jobs, page.counts, page.next is not None))

    async def _older(self, window: Window) -> None:
        page = await self._read(window, before=window.oldest)
        if page is not None:
            window.fill(page.seq, page.jobs, page.next is not None)
            self._took(window, True)

    async def _check(self, window: Window) -> None:
        page = await self._read(window, counts=True)
        if page is not None:
            self._took(window, window.compare(page.seq, page.jobs, page.counts, page.next is not None))

    async def _read(self, window: Window, before: str | None = None, *, counts: bool = False) -> Page | None:
        """A page; None when nobody wants it any more, or something was missed meanwhile: then it is read anew."""
        key, wish = (window.match, window.limit), list_wish(window.match)
        page = await self._reads.until(
            lambda: self._broker.page(wish, window.limit, before, counts=counts and window.match.countable),
            lambda: key in self._held,
        )
        if self._reads.was_outdated(window) and page is not None:
            self._load(window)
            return None
        return page

    def _took(self, window: Window, taken: bool) -> None:
        if not taken:  # too much changed while it was read
            self._load(window)
            return
        window.tell()
        if window.hungry and window.watchers:
            self._fill(window)
