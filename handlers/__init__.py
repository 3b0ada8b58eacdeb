"""The web edge: Tornado is spoken here. Read, call one method, write."""
