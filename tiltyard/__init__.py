"""Tiltyard keeps a good machine-learning model in production.

One project file and one table become a champion: validated, tuned, judged, registered, promoted and served.
"""

__version__ = "0.4.0"
