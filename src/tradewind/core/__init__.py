"""The words of the house: nouns and errors. Pure; imports nothing else of ours."""
