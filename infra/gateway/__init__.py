"""The gateway: one origin in front of the command API, the query API and the realtime process."""
