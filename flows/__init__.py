"""What runs, and in what order: Prefect flows."""
