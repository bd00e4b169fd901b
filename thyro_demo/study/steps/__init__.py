"""What studies are made of: each step a function, beside the function that makes jobs of it."""
