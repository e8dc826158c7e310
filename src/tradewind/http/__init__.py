"""REST and WebSocket: translate, never decide."""
