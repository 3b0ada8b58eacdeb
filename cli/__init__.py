"""The terminal side: commands and live progress, a client like any other over HTTP and WebSocket.

`main` gathers the commands. `watched` (pure) holds what is known of the watched jobs, `stream` brings it
over the socket, `bars` and `ndjson` show it. `safe` stands between a job's text and the terminal.
"""
