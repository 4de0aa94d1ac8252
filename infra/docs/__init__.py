"""Pages of docs/ that are derived from the code, so that they cannot say what it does not do."""
