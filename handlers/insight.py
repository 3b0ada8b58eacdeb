"""/api/jobs/ID/stack and /profiles: where a job stands, and where its time goes."""

from handlers.base import Handler
from handlers.flame import page
from server.calltree import speedscope, unpacked
from server.codec import JSON
from server.errors import Invalid, NotFound
from server.protocol import ProfileWish, parse

# A page without scripts: it may do nothing, and nobody may put it in a frame but us.
PAGE_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


class StackHandler(Handler):
    """Where a running job stands."""

    async def get(self, job_id: str) -> None:
        """Its frames now, as its worker sees them."""
        self.answer(await self.node.asking.stack(job_id))


class ProfileHandler(Handler):
    """POST has a running job profiled."""

    async def post(self, job_id: str) -> None:
        """202 with the number of the profile, which is there when the time is over, or the job."""
        wish = parse(ProfileWish, self.body() if self.request.body else {})
        longest_s = self.node.settings.profile_s
        if wish.seconds > longest_s:
            raise Invalid.field("seconds", f"at most {longest_s:g} (profile_s)")
        begun = await self.node.asking.profile(job_id, wish.seconds, wish.interval_ms)
        self.set_header("Location", f"/api/jobs/{job_id}/profiles/{begun['profile']}.html")
        self.answer(begun, 202)


class ProfilesHandler(Handler):
    """The profiles kept with a job."""

    async def get(self, job_id: str) -> None:
        """What there is, by number."""
        self.answer({"profiles": await self.node.asking.profiles(job_id)})


class KeptProfileHandler(Handler):
    """One profile, in the form that is asked for."""

    async def get(self, job_id: str, number: str, form: str) -> None:
        """A page, speedscope's JSON, or the file that Python's `pstats` reads."""
        head, tree, pstats = await self.node.asking.kept(job_id, int(number))
        self.set_header("Cache-Control", "private, max-age=3600")  # it never changes
        if form == "html":
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Content-Security-Policy", PAGE_POLICY)
            self.finish(page(job_id, head, unpacked(tree)))
        elif form == "json":
            self.set_header("Content-Type", "application/json")
            self.finish(JSON.encode(speedscope(unpacked(tree), f"job {job_id}, profile {number}")))
        elif not pstats:
            raise NotFound(f"profile {number} has no pstats: only one by cProfile has, and not if it is too large")
        else:
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", f'attachment; filename="{job_id}-{number}.pstats"')
            self.finish(pstats)
