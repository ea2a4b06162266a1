"""Where two stages of a deployment part: the first differing cell, how far each layer is off, and which pass did it."""
