"""Where the user is: channels that carry PCM audio and small messages."""
