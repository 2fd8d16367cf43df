"""si: golden-client deployment for Linux. The folders are the stages an image passes."""

__version__ = "0.1.0"
