"""The bundle room: what goes to serving, built, verified and run without code from the model."""
