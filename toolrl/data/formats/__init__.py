"""One small file for each format of raw rows. A reader turns a row into a Dialogue, or raises DataError without a place."""
