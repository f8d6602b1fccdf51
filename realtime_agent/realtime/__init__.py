"""The Realtime client: typed events, one websocket, a session, and the conversation's logic."""
