"""What a command about the log answers where it does not do what was asked.

LocalError
├── BadArgument      what was asked for makes no sense; exit status 2
├── NotAllowed       sealed text may not be opened here; exit status 2
└── NotFound         the log does not hold it; exit status 1
"""

from infra.local.failures import LocalError


class BadArgument(LocalError):
    """The message names the argument and what it may be."""


class NotAllowed(LocalError):
    """The message says which right is missing."""


class NotFound(LocalError):
    """The message says where it was looked for."""
