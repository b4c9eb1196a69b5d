"""People rendered by the project itself, for training, evaluation and the demo."""
