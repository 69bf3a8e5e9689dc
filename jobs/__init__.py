"""What `ray job submit` runs: parse the configuration, make one call, write the result."""
