"""The sweep: every fault point of one command with every kind of fault, then the pairs that matter."""
