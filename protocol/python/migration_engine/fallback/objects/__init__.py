"""What is elsewhere as a source and a destination of items: the same for every service."""
