"""What is typed after `python -m tsbench`: a module for each verb, with its `main(arguments)` and its exit code."""
