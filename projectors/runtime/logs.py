"""One JSON line per event on stderr, our own and the libraries' alike; what a library repeats is told a few times."""

import logging
import sys
import time
from collections import Counter

import structlog

REPEATED_MAX = 10  # a minute
MINUTE_SECONDS = 60.0


class Repeated(logging.Filter):
    """Passes each message (the words, whatever is put into them) so often a minute and no oftener: a Kafka client whose
    broker is away says the same things a hundred times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._told: Counter[tuple[str, object]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._began > MINUTE_SECONDS:
            self._began = now
            self._told.clear()
        message = (record.name, record.msg)
        self._told[message] += 1
        if self._told[message] == REPEATED_MAX:
            record.msg = f"{record.msg} (not told again in this minute)"
        return self._told[message] <= REPEATED_MAX


def configure(**always: object) -> None:
    """Sets up this process's logging; `always` is in each of our own lines."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(Repeated())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
