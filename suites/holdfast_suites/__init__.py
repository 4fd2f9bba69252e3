"""The contract as pytest tests, one module per pattern; a test's docstring is its clause."""
