"""What the chapters of the course do, without a page: the notebooks tell the story around it."""
