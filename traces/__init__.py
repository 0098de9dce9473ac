"""What was recorded: spikes and states in HDF5, and the comparison of two recordings."""
