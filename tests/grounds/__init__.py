"""Kafka, the registry, PostgreSQL and Redis for tests: in containers or natively, behind one port (port.py)."""
