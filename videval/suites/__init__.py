"""Many runs as one thing: lists of models and variants crossed, suite files, what they will cost, and whether one run
is as good as another."""
