"""Which of two records is the newer."""

from datetime import UTC, datetime
from functools import cache

from zoo.record import Record


def age(record: Record) -> tuple[datetime, str]:
    """What sorts records from the oldest to the newest, the same every time."""
    return started(record), record.run_id


def started(record: Record) -> datetime:
    """When it started; what is no date counts as oldest."""
    return moment(record.started)


@cache
def moment(text: str) -> datetime:
    """The time that an ISO 8601 text names, in UTC; the first of times for any other text."""
    try:
        when = datetime.fromisoformat(text)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
