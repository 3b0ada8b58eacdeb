"""What the server knows and how it stands: tasks, nodes, health."""

from handlers.base import Door, Handler
from handlers.openapi import Document
from server.metrics import MEDIA_TYPE
from server.node import Node


class TasksHandler(Handler):
    """The tasks that can be submitted here."""

    def get(self) -> None:
        """Names, arguments, options."""
        self.answer({"tasks": [task.describe() for task in self.node.registry]})


class NodesHandler(Handler):
    """The processes alive."""

    async def get(self) -> None:
        """As they described themselves at their last beat; this one as it is now."""
        self.answer({"nodes": await self.node.nodes()})


class HealthHandler(Handler):
    """Whether the process is alive; knows nothing of Redis."""

    def get(self) -> None:
        """200."""
        self.answer({"status": "alive"})


class ReadyHandler(Handler):
    """Whether work can be given to this node."""

    def get(self) -> None:
        """200, or 503 with the reason."""
        refusal = self.node.ready()
        if refusal is not None:
            raise refusal
        self.answer({"status": "ready"})


class MetricsHandler(Handler):
    """What this process has counted."""

    def get(self) -> None:
        """The text format of Prometheus."""
        self.set_header("Content-Type", MEDIA_TYPE)
        self.finish(self.node.metrics.text())


class OpenApiHandler(Handler):
    """GET /api/openapi.json."""

    def initialize(self, node: Node, door: Door, document: Document) -> None:  # type: ignore[override]
        """Take what the application was wired with."""
        super().initialize(node, door)
        self._document = document

    def get(self) -> None:
        """As it was made for the first who asked."""
        self.answer(self._document.value)
