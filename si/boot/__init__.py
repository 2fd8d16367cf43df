"""Getting BOEL onto a machine: flavors, boot entries, DHCP, arming."""
