"""The stack under test: its descriptor, the values of one submission, and what it resolves to on a target."""
