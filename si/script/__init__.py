"""Master scripts: a layout becomes ordered steps, and steps a POSIX shell script."""
