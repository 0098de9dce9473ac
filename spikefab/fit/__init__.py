"""Does a network fit a chip, why not, and what would make it fit."""
