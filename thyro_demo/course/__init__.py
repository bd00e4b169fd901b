"""What the chapters of the course compute and draw; the notebooks hold the text around it.

Every chapter begins with `lesson` (its images, its folder, its computer) and shows its pictures
by `show`. The rest is sorted by chapter, and what a new cell computes goes where its chapter is:

- 0b, transfer learning in plain Keras: `core`
- 1, seeing ultrasound: `seeing` (physics)
- 1b, from a frame to a fair split: `collection` (crops, near duplicates, splits)
- 2, a network from scratch: `scratch`, `live` (a training that can be watched)
- 3, progressive transfer: `progressive`, `ladder` (stages and their heads)
- 3 to 5, a rehearsal: `cached` (features computed beforehand)
- 4, heads: `heads`, `boundaries` (heads and their settings in pictures)
- 5, did it really work: `evaluation`, `misread` (frames scored wrongly, and a reader beside them)
- 6, what does it look at: `looking`, `planting` (a shortcut made on purpose)
- 2 to 6, what holds in every run: `claims`
- 7, ship it: `shipping`, and `lecture` for the cases shown in class
- the lecture of 50 minutes: `hour`, and `setup_check` before it

What a reader completes is checked by `tasks`. `slides` makes a deck of the chapters, `plan`
estimates their minutes, `publishing` runs them and keeps their outputs.

What is of use without the course belongs in `data`, `evaluate`, `models`, `explain` or `study`.
"""
