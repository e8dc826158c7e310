"""Groups of customers: how many are supported, who belongs where, how sure that is, what they are called."""
