"""Measures the shipped code on real servers of its own; figures are for comparing, machines differ."""
