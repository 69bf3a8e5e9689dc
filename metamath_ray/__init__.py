"""Bootstrap, fine-tune, solve and evaluate with mathematical language models on Ray."""

__version__ = "0.1.0"
