"""The store of trees: capture, chroot, list, copy, move, remove."""
