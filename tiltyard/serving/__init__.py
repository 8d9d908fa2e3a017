"""The serving room: workers that answer, a sidecar that fetches and verifies champions, a supervisor above both."""
