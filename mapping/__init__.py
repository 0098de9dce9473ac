"""How a network gets onto the machine: networks, importers, float reference, quantising, mapping."""
