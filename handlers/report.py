"""GET /api/jobs/{id}/report.html: the flight recorder, a job with its log as one file for a bug report."""

import asyncio
import time

from tornado.iostream import StreamClosedError

from handlers.base import Handler
from handlers.recording import POLICY, head, lines, tail
from server.job import JobDetail
from server.version import __version__

PIECE = 1000  # log entries that are read and written at a time: others have their turn between


class ReportHandler(Handler):
    """Writes one job, whole, as it is now."""

    async def get(self, job_id: str) -> None:
        """The document, as a download; it is sent in pieces, however long the log."""
        detail = await self.node.queue.get(job_id)
        self._set_headers(detail)
        whole = detail.whole()
        self.write(head(whole, round(1000 * time.time()), __version__))
        if self.request.method == "HEAD":
            return
        try:
            self.write(tail(whole, await self._write_log(job_id, detail.job.offset)))
            await self.finish()
        except StreamClosedError:
            return  # nobody waits for the rest

    def _set_headers(self, detail: JobDetail) -> None:
        name = f"windsock-{detail.job.task}-{detail.job.id}.html"
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", f"sandbox; {POLICY}")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')

    async def _write_log(self, job_id: str, last: int) -> int:
        """Write the log up to `last`; how many of its last entries are missing."""
        after = 0
        while after < last:
            piece = await self.node.queue.log(job_id, after, PIECE)
            entries = [entry for entry in piece["entries"] if entry["offset"] <= last]
            self.write("".join(lines(entries, after)))
            await self.flush()
            after = entries[-1]["offset"] if entries else after
            if piece["next"] is None or not entries:
                break
            await asyncio.sleep(0)
        return last - after
