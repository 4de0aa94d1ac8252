"""Where projections are kept: one port (port.py), one store per kind of database."""
