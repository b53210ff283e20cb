"""What draws images: a session for each library, and what is measured and watched while it draws."""
