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
    "softmax": "The network's own last layer: a weighted sum of its features, squeezed into 0–1.",
    "svm": "A support vector machine: it compares the features with those of chosen training "
    "frames.",
    "forest": "A random forest: hundreds of small decision trees over the features, averaged.",
    "average": "The mean of the scores of several heads.",
    "heatmap": "Where the frame raises a head's score, by that head's own arithmetic. It shows "
    "where a score comes from, not that the score is right.",
}
"""By the word in lower case, or the key of a head."""
