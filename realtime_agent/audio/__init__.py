"""Paced output and audio files."""
