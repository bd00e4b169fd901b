"""What the words of the pages mean, a sentence or two each: shown on a touch or a hover."""

TERMS = {
    "head": "What turns the features of a network into a score. Each network here has three: "
    "softmax, SVM and random forest read the same features and weigh them differently.",
    "model score": "A model's own number between 0 and 1: the higher, the more the frame is like "
    "those labelled malignant in training. It is not the probability that a nodule is malignant.",
    "threshold": "The score from which a head says “above”: the upright mark. It was chosen on "
    "scores of training images by networks that had not seen them.",
    "prediction": "On which side of its threshold a score is. Where the label of a frame is known, "
    "✓ and ✗ show which heads agree with it.",
}
"""By the word in lower case."""
