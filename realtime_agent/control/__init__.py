"""What can be asked of an agent, and how long it lives."""
