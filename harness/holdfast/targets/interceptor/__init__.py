"""The interceptor of AWS calls: ASGI middleware around an emulator, or around a reverse proxy to any other endpoint.

model         botocore's models of the services
recognition   which service and operation a request is
resources     what a call is about: its table, queue, bucket, function, topic
errors        AWS errors in the protocol of the call
rules         the aimed faults in force, and how often each has hit
tracing       invocations and the calls they made
middleware    recognises, breaks and records each call
control       the HTTP interface to rules and traces
connections   who is at the other end of a loopback connection
forwarding    the reverse proxy
failing       what becomes of a request on which an application fails
hypercorn_server, uvicorn_server  for the emulator and for the proxy, with connections that can be cut
proxy         the process in front of another endpoint
"""
