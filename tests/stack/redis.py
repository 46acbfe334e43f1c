"""A throwaway Redis."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

import redis

from tests.stack.daemon import Daemon, free_port

# The compose file gives the same: a full Redis refuses new work instead of forgetting old, and nothing is kept on disk,
# since PostgreSQL is the only truth.
ARGUMENTS = ("--maxmemory-policy", "noeviction", "--appendonly", "no", "--save", "")


@dataclass(kw_only=True)
class Redis(Daemon):
    """A Redis with a password, 16 databases, and nothing on disk."""

    name: str = "redis"
    port: int = field(default_factory=free_port)
    password: str = "throwaway"

    def url(self, database: int = 0) -> str:
        """`REDIS_URL` of one of the databases 0 to 15."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0) -> redis.Redis:
        """A connection, for tests that empty or count."""
        return redis.Redis.from_url(self.url(database), socket_timeout=10, socket_connect_timeout=10)

    def command(self) -> tuple[str, ...]:
        """`redis-server` on our port, with production's arguments."""
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is missing: install the package redis-server.")
        return (program, "--bind", "127.0.0.1", "--port", str(self.port), "--requirepass", self.password, *ARGUMENTS)

    def is_ready(self) -> bool:
        """Whether it answers PING."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
