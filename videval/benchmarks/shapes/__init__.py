"""Moving shapes: short drawn clips whose questions can be answered from the right frames in the right order only."""
