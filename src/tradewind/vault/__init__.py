"""Keys, sealing, blobs and the ledger: the only code that touches keys or writes at rest."""
