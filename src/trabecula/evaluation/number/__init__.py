"""How right the default recipe's number is on unseen virtual people, and whether it knows how right: simulated."""
