"""The zoo: trained spiking networks, how they are built and trained. A plug-in: the core imports nothing from here."""
