"""One server process: TFTP for boot programs, HTTP for the rest, rsync for images."""
