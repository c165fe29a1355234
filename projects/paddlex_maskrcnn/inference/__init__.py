"""From images to results with a trained network: prediction, tiles, evaluation, model directories."""
