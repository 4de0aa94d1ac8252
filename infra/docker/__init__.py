"""What containers run beside the programs themselves: their entry, their health, their secrets, their preparation."""
