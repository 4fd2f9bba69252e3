"""The embedded emulator: MiniStack in a child process, mended where it differs from AWS, with an interceptor around it.

__main__      starts the process: guard, port, patches, server
guard         kills and cleans when the parent or the server dies
patches/      one AWS behaviour each
callers       which invocation a call belongs to
interception  the rule book and the trace of the process (see ``holdfast.targets.interceptor``)
"""
