"""The gate of a pipeline: verdicts, what is accepted for how long, and what the pipeline is told."""
