"""Mixed precision: bits a weight for every layer, found under an accuracy budget.

``samples`` holds the data and judges a network on it, ``layers`` has every layer at every width, ``front`` finds which widths go
together, ``search`` does the whole, ``record`` says what was done.
"""
