"""Network-on-chip: topologies, and three ways to carry a tick's packets over them."""
