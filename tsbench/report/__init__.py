"""Tables, plots and the page that people look at, from the stored cells alone."""
