"""The stack room: starts and stops Prefect, MLflow, a worker and the model server on this machine."""
