"""Images and record tables: phantoms, loaders, preprocessing and splits, no Keras."""
