"""Pipelines by name, as `--features log-mel:bins=40`; a file here registers one."""
