"""The embedded emulator: MiniStack in a child process, mended where it differs from AWS, with an interceptor around it.

__main__    starts the process: guard, port, patches, server
guard       kills and cleans when the parent or the server dies
patches/    one AWS behaviour each
rules       the aimed faults in force and their hit counts
invocations faults at the invocations of functions
calls       faults at the AWS calls of functions
control     the HTTP interface to rules and traces
"""
