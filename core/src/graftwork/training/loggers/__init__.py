"""Where the numbers of each step go: the loggers that the core brings, behind the hook `graftwork_loggers`."""
