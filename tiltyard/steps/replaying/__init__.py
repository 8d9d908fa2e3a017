"""A whole history through the loop of training, serving, watching and training again, on a simulated clock.

Nothing here asks MLflow, Prefect, the object store or the machine's clock: rows come in the order of their time column,
their labels later, and what Tiltyard would have decided at each moment is decided from what was known then.
"""
