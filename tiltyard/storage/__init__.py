"""The storage room: objects in a folder or in S3."""
