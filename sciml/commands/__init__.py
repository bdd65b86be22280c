"""The verbs of the command line; each module imports what its verb needs, when it runs."""
