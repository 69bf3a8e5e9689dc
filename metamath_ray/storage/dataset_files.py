"""Where a run keeps its data set: `export` writes it, training and evaluation read it."""

DATASET_FOLDER = "dataset"
ROWS_FILE, TABLE_FILE = "metamathqa.jsonl", "metamathqa.parquet"
"""The same rows: the four public fields, and with where each comes from."""
DATASET_TABLE = (DATASET_FOLDER, TABLE_FILE)
"""The table's place below a run's root."""
