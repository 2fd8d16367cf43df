"""The lab: real machines in QEMU on a bridge in their own network namespace.

For maintainers, the demo and the end-to-end tests; nothing here ships to users.
`network` makes the namespace, `machine` one machine with its `console`, `golden` the golden
client's disk, `ssh` reaches a running machine, `disk` reads a disk that is switched off.
"""
