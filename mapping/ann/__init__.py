"""Networks trained on rates, and what makes spiking networks of them."""
