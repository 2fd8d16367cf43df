"""A simulator of many clients that install at once: boot traffic, the queue, streams, the swarm."""
