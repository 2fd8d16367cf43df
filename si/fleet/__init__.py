"""Many running clients at once, over ssh: commands, copies, audits, updates by batches."""
