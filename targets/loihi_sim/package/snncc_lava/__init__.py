"""What ``run.py`` is made of: reading the compiled folder, building Lava's Processes, running them."""
