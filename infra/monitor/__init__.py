"""The monitor: measures how far the projections are, for Prometheus, for people, and for the query API."""
