"""P6: a network of two convolutional layers, on mammogram patches and on thyroid frames.

References
----------
Kim, "Image classification using deep learning algorithm for thyroid imaging", Gachon University:
the text draws the network for breast masses, true ones against false positives, and prints two
accuracies. Widths, optimiser and numbers of images are not printed.
"""
