"""The embedded model: a Realtime-protocol server on this machine that needs no account."""
