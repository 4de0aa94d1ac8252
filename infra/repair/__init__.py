"""What puts a log that lost its tail, and everything that stood on it, right again."""
