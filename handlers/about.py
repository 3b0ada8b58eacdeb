"""What the server knows and how it stands: tasks, nodes, health."""

from handlers.base import Handler


class TasksHandler(Handler):
    """The tasks that can be submitted here."""

    def get(self) -> None:
        """Names, arguments, options."""
        self.answer({"tasks": [task.describe() for task in self.node.registry]})


class NodesHandler(Handler):
    """The processes alive."""

    async def get(self) -> None:
        """As they described themselves at their last beat."""
        self.answer({"nodes": await self.node.queue.nodes()})


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
