"""What draws images: a session for each of the libraries that do."""
