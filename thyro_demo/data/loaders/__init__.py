"""One module per image set; `thyro_demo.data.datasets` reads them by name."""
