"""Histories of a small society, and every page of its readers compared with the reference model."""

DIFFERENT = 3  # exit status of a run that found a difference
