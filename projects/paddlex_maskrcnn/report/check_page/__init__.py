"""What `check` found, as a page, as text and as json."""
