"""The graphs of the networks, one file each: normalised image in, last feature map out."""
