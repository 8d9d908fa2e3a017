"""The registry room: MLflow runs, versions and aliases, and the promotion ledger."""
