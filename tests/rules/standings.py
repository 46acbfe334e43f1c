"""Where a command stands, for the tests of delivery: one that waits, and one that is out."""

from datetime import UTC, datetime, timedelta

from devices.delivery import CommandStatus, Standing, attempted, created

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
TINY = timedelta(microseconds=1)
OVER = [status for status in CommandStatus if status.value not in ("PENDING", "SENT", "ACKED")]


def waiting(cache: timedelta = WEEK, *, is_online: bool = True) -> Standing:
    return created(now=NOW, cache=cache, is_online=is_online)


def sent(cache: timedelta = WEEK, *, at: datetime = NOW) -> Standing:
    standing = attempted(waiting(cache), is_online=True, now=at)
    assert standing.status is CommandStatus.SENT
    return standing
