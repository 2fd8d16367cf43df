"""The only doors to the outside: processes, rsync, names."""
