"""What units and layers code, measured with made stimuli and dense truth, and against nulls."""
