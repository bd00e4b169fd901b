"""What studies are made of: each step a function, beside the function that makes jobs of it.

What makes jobs is named after what comes out (`networks.features`, `heads.head`), what runs when
a job is due after what it does (`networks.extract`, `heads.fit`).
"""
