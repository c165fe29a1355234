"""One self-contained page a run: what it learned, how good it is, where it fails."""
