"""What to do: the best levers under a user's limits. Pure: arrays in, a plan out."""
