"""Trade: weekly panels of prices and promotions, and what they do to sales; shared by price and promotion."""
