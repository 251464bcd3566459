"""Work on a Ray cluster in place of this machine: ingests and comparisons."""
