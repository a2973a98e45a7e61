"""The project of the dock: its name, its images, and the projects opened lately."""
