"""What runs the product on a machine, tested without one."""
