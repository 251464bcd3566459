"""From passages to an answer: a prompt that fits the model, the answer as it comes, the passages that it cites."""
