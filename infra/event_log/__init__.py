"""The log as people and tools read it: records found, shown as CloudEvents, counted, exported; nothing is changed."""
