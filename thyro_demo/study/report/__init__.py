"""What studies leave for readers: reports, their page with filled checklists, model cards."""
