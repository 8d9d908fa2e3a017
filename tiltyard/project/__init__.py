"""The project: what the user decided, as one validated, frozen object."""
