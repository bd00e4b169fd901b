"""Studies: graphs of jobs, the steps they are made of, questions, protocols and reports."""
