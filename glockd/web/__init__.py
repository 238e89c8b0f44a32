"""Pages: handlers of requests, the same on the websocket port and on an HTTP port of its own."""
