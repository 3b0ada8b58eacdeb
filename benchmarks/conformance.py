"""Autobahn's cases against `echo.py`: what our WebSocket connection does, as an outside suite sees it.

The suite is fetched into `.venvs/conformance` in a pinned version. Sections 12 and 13 are left out: compression is
not spoken here. Ends with status 1 if a case is anything but OK or informational.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fanout_peers import python
from processes import ROOT
from tornado.testing import bind_unused_port

ECHO = ROOT / "benchmarks" / "echo.py"
LISTED = ROOT / "benchmarks" / "peers" / "conformance.txt"
GOOD = ("OK", "INFORMATIONAL")


def suite() -> Path:
    """The program that runs the cases."""
    return Path(python(LISTED, ROOT / ".venvs" / "conformance")).with_name("kosoku")


def run(program: Path, folder: str) -> dict[str, str]:
    """How each case went."""
    sock, port = bind_unused_port()
    sock.close()
    with subprocess.Popen([sys.executable, str(ECHO), str(port)], stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdout is not None
        try:
            print(echo.stdout.readline().strip(), flush=True)
            words = [str(program), "-x", "12.*", "-x", "13.*", "-o", folder, f"127.0.0.1:{port}/ws"]
            subprocess.run(words, check=False)  # one that fails is in the report
        finally:
            echo.terminate()
    (cases,) = json.loads(Path(folder, "index.json").read_text()).values()
    return {name: case["behavior"] for name, case in cases.items()}


def main() -> int:
    """All cases, then how many went how, and which did not."""
    with tempfile.TemporaryDirectory() as folder:
        cases = run(suite(), folder)
    print(", ".join(f"{count} {behavior}" for behavior, count in Counter(cases.values()).most_common()))
    bad = {name: behavior for name, behavior in cases.items() if behavior not in GOOD}
    for name, behavior in bad.items():
        print(f"{name}: {behavior}")
    return 1 if bad or not cases else 0


if __name__ == "__main__":
    raise SystemExit(main())
