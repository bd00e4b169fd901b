"""Images and record tables: phantoms, loaders, crops and splits, no Keras."""
