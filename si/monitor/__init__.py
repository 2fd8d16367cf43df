"""Watching: events folded into where each client stands."""
