"""The notification room: tells people, by webhook or e-mail, what happened to a champion."""
