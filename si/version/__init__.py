"""Stage 3: frozen, signed copies of an image, and what differs between them."""
