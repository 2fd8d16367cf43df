"""`make bench`: figures as ratios to a peer that runs beside them, each with its bound."""
