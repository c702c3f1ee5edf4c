"""Who calls whom: settings, flows and the command line."""
