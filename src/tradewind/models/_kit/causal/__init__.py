"""What caused what: estimators, checks that try to refute them, and the design of tests; pure functions on arrays and frames."""
