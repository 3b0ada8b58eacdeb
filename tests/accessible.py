"""What axe (the npm package axe-core, as axe-playwright-python brings it) says against a page that is shown."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES: dict[str, Any] = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def complaints(page: Page, context: str | None = None) -> list[str]:
    """One line for each violation and each element it was found at; `context` is a selector to stay below."""
    found = Axe().run(page, context, RULES).response["violations"]
    return [
        f"{violation['id']} ({violation['help']}): {node['html'][:200]} {node.get('failureSummary', '')}"
        for violation in found
        for node in violation["nodes"]
    ]
