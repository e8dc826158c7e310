"""What customers did, as of a day: shared by the models that ask about customers."""
