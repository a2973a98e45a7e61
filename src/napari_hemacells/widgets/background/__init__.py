"""Long work beside the window: tasks and workers."""
