"""Ways to try a stack: what is submitted, which faults strike, what is waited for. They judge nothing."""
