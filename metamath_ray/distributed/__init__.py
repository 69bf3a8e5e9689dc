"""Everything that runs on Ray, and the only package that imports it."""
