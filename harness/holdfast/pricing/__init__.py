"""What a run costs on AWS: what it requests, counted, and priced by a table that says of when it is."""
