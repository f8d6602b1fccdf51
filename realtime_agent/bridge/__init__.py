"""The parts of an agent that stand between its channel and its session."""
