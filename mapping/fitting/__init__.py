"""The doctor: whether a network fits a chip, and the smallest changes that make it fit."""
