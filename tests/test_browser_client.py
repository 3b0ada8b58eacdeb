"""static/windsock.js in a real browser, on a page of another origin, against a real server."""

import re

import pytest
from chromium import browser
from conftest import CHROMIUM
from hosting import Open, context, go_to, host, server
from processes import Server, lasting

__all__ = ["browser", "context", "go_to", "host", "lasting", "server"]
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
CLIENT = """async ([url, codec]) => {
  const { Windsock } = await import(`${url}/static/windsock.js`);
  const windsock = new Windsock(url, { codec });
  const stats = new Promise((resolve) => windsock.stats(resolve));
  const feed = windsock.feed({ task: "chatter" }, { limit: 5 });
  const { id } = await windsock.submit("chatter", { lines: 25, per_second: 0 });
  const lines = [];
  const onLog = (entries) => lines.push(...entries.map((entry) => entry.text ?? entry.value));
  const watch = windsock.job(id, { log: "all", onLog });
  const job = await watch.ended();
  const holds = () => feed.jobs.some((one) => one.id === id);
  for (let tries = 0; tries < 500 && !holds(); tries += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  const listed = holds();
  const told = await stats;
  const why = (problem) => [problem.code, problem.errors[0].field];
  const refused = await windsock.submit("chatter", { lines: -1 }).catch(why);
  const again = await windsock.rerun(id);
  windsock.close();
  const types = [typeof job.created_at, typeof told.running];
  return { state: job.state, result: job.result, types, lines, listed, refused, rerun: again.rerun_of === id };
}"""


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_the_client_does_all_of_it_in_either_codec(server: Server, go_to: Open, codec: str) -> None:
    guest = go_to(server, "")
    loaded: list[str] = []
    guest.page.on("request", lambda request: loaded.append(request.url))
    found = guest.page.evaluate(CLIENT, [server.url, codec])
    lines = found.pop("lines")
    assert [line for line in lines if str(line).startswith("line ")] == [f"line {n} of 25" for n in range(1, 26)]
    assert [line for line in lines if isinstance(line, int)] == [10, 20]
    assert found == {
        "state": "succeeded",
        "result": {"lines": 25, "emitted": 2},
        "types": ["number", "number"],
        "listed": True,
        "refused": ["invalid", "args.lines"],
        "rerun": True,
    }
    assert any("vendor/msgpack" in url for url in loaded) == (codec == "msgpack")
    guest.check(re.compile("422"))
