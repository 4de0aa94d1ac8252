"""The settings of the command API: one module, its values typed and read from shared.environment."""
