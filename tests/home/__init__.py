DIFFERENT = 3  # exit status of a run that found a difference
