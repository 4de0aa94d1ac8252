"""The `rookery` command: one file per verb."""
