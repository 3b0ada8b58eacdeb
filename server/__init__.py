"""The job server: asyncio only, no Tornado; Redis is known to `server.broker` alone."""
