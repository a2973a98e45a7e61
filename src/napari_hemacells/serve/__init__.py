"""A page in the browser for single pictures: ``hemacells serve MODEL…``.

Nothing of a picture is kept: its bytes, pixels and answer are gone when the answer is sent.
"""
