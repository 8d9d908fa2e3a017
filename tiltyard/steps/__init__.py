"""The steps of a run as plain functions from small records to small records.

Each loads what its references point to, calls the rooms below, writes what it made into the run's folder and returns
a record. Prefect wraps them in `tasks/`; a notebook can call them as they are.
"""
