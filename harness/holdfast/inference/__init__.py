"""From what is deployed to a first descriptor: its pattern, who plays which part, what a sample command shows."""
