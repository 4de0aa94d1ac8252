"""No ticket and no token reaches a log: addresses are logged without their query."""

import logging


class WithoutQuery(logging.Filter):
    """Cuts what follows the `?` off every argument that is an address; uvicorn logs those of WebSockets whole."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                each.partition("?")[0] if isinstance(each, str) and each.startswith("/") else each
                for each in record.args
            )
        return True
