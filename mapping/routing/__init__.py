"""What routers and cores are told so that spikes arrive, and an independent check that they do."""
