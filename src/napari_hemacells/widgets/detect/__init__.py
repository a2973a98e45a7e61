"""Detection and correction of cells: panel, controller and canvas tools."""
