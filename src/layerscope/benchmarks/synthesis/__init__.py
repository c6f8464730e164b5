"""Synthesis beside Lucent: what a step costs, what the pictures score, how near the processor's limit, how exact."""
