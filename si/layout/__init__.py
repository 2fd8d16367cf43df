"""Disks: layout documents, their checks, and what is inferred from a golden client."""
