"""The fonts that words on a picture are set in, and which characters they have."""
