"""The HTTP side: what is answered on the websocket port to requests that are no websocket handshake."""
