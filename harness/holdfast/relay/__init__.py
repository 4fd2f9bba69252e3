"""A relay on the channel between two processes: it delays, drops, cuts, slows and holds what passes.

model     one aimed fault on a channel
book      the rules in force, and how often each has hit
framing   where an HTTP/1.1 message ends; the bytes are never changed
exchange  one connection, request by request (HTTP) or chunk by chunk (bytes)
server    the process that listens; controlled over its standard input and output
client    the harness' side of it
"""
