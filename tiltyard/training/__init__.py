"""The training room: model families race, the best is fitted."""
