"""What runs beside the functions, wherever it runs: found, proven, looked at, killed, stopped and started.

base           what a driver is
choosing       the driver of a component, from a stack or from the journal
process        processes of this machine
process_match  finding the one process that fits a description
marks          telling a process from a later one with the same id
plan           what a run starts: commands, environments, addresses, folders
launching      starts processes in their lifecycle order, and ends them
readiness      whether a started process is ready
strays         everything that a run has started, by the mark in its environment
"""
