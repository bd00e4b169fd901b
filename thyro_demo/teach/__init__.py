"""What the chapters of the course compute and draw; the notebooks tell the story around it.

Every chapter begins with `lesson` (its images, its folder, its computer) and shows its pictures
by `show`. The rest is sorted by chapter, and what a new cell computes goes where its chapter is:

- 1, seeing ultrasound: `seeing`
- 2, a network from scratch: `scratch`
- 3, progressive transfer: `path`
- 4, heads: `heads`
- 5, did it really work: `evaluation`
- 6, what does it look at: `looking` (maps against outlines), `sanity` (maps against the score and
  the weights), `planting` (a shortcut made on purpose)
- 7, ship it: `shipping`, and `lecture` for the cases shown in class

What is of use without the course belongs in `evaluate`, `explain`, `models`, `study` or `data`.
"""
