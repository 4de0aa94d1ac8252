"""The servers and processes of one installation, run natively on this machine, loopback only, data under `var/`."""
