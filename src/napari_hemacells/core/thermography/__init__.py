"""Breast thermograms: selection of frames, regions and their measures, studies, exports."""
