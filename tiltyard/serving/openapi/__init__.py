"""What can be asked of a server, described from the contracts of its models (OpenAPI 3.1)."""
