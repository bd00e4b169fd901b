"""The colours and line styles of every plot.

The colours are those of Okabe and Ito, "Color universal design" (2008), which any colour vision
keeps apart; line styles do so in grey.
"""

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, AMBER = "#CC79A7", "#56B4E9", "#E69F00"

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)
"""In the order in which series take them."""

GREY = "#666666"
"""Of reference lines."""

LINE_STYLES = ("-", "--", "-.", ":")
"""In the order in which series take them."""
