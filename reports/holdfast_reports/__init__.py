"""What people look at: scorecards made from verdicts. They read data types only and never run anything."""
