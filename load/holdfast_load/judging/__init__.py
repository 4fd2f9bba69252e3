"""What is made of a run's record, after the load is over.

rows          the workers' files as columns, with the intended times
looking       waits until the stack is at rest, then looks at every key
measures      latency, goodput, recovery, drain
cost          what was requested, counted and priced
thresholds    what the descriptor demands of the measures
judge         the clauses that load can decide, and the report
"""
