"""Learning from cells without a label: an encoder's last layers go on on the user's own crops.

Importing this package does not import torch; what runs in the child process does.
"""
