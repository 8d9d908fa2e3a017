"""The protocols of the model server: each turns requests into answers, and failures into its own shape."""
