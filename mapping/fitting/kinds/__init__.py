"""What a network takes of each kind of core, counted from its outline."""
