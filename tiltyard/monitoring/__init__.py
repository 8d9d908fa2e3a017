"""Watching the champion: windows of the prediction log, drift, performance with late labels, when to retrain."""
