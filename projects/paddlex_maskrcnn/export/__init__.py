"""A trained network as one file that runs without Detectron2 and without this package."""
