"""Processes and their ProcessModels, nothing else: Lava's compiler executes every module of this folder."""
