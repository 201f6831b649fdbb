"""The build of the wheel."""
