"""The house: settings, processes and the wiring of the three apps."""
