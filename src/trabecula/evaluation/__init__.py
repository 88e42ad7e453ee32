"""How well a screening did: overlap, agreement, diagnosis, and the tables and plots that show them."""
