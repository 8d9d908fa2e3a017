"""The serving room: champions answer over HTTP, in light workers beside a sidecar."""
