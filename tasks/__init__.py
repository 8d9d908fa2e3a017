"""One Prefect task per step of a flow."""
