"""Evaluations as something to read: one HTML page, the same as Markdown, plots."""
