"""Checks the configuration and says in words what is missing and how to mend it; nothing secret leaves the machine."""
