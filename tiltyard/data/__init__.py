"""The data room: a source becomes a typed, checked, split table."""
