"""The drawings of a report: each a function from records to a `Plot`, or to None where there is nothing to draw."""
