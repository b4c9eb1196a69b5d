"""Training: people to learn from, both players, what a run writes; and clips made of your own videos."""
