"""What runs on clients: the standard library of Python 3.9 only, shipped as one file."""
