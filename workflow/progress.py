"""How long a run still takes, said on the console after Snakemake's own line of progress."""

import logging
import time
from collections.abc import Callable

from snakemake_interface_logger_plugins.common import LogEvent

_PAUSE = 30.0  # seconds between two lines


class Remaining(logging.Handler):
    """Adds to a logger's reports of progress the time that is left, at the pace of the jobs so far.

    Parameters
    ----------
    logger : logging.Logger
        Snakemake's.
    clock : callable
        Seconds, never backwards.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.INFO)
        self.logger, self.clock = logger, clock
        self.begun = self.told = clock()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell what is left, no more often than every half a minute."""
        if getattr(record, "event", None) != LogEvent.PROGRESS:
            return
        done, total, now = int(record.done), int(record.total), self.clock()  # type: ignore[attr-defined]
        if not 0 < done < total or now - self.told < _PAUSE:
            return
        self.told = now
        self.logger.info(told((now - self.begun) * (total - done) / done, total - done))


def told(seconds: float, jobs: int) -> str:
    """A line for a person: ``about 2 h 10 min left, 43 jobs at this pace``."""
    minutes = max(1, round(seconds / 60))
    text = f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
    return f"about {text} left, {jobs:,} {'job' if jobs == 1 else 'jobs'} at this pace"
