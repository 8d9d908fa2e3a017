"""The evaluation room: what a model is worth, how sure we are, and whether it may replace the champion."""
