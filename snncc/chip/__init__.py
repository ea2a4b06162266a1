"""A Program on a chip: its limits as data, neurons split over cores, cores placed on a mesh, and events counted there."""
