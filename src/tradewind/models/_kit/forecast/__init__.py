"""The forecasting engine: learners of a panel, what their answers are made of, and the recipe around them."""
