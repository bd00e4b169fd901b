"""The acts of the command line, one module per sub-command."""
