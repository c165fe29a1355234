"""A confusion matrix with background, one detection at a time."""

import numpy as np


def confusion(objects, detections, iou, in_crowd, num_classes, threshold):
    """Rows annotated, columns predicted, background last.

    Args:
        objects: [class], crowd regions left out.
        detections: [(class, score)] in order of score.
        iou: iou[d][o], 0 between different images.
        in_crowd: [bool] whether a detection lies in a crowd region of its class.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), int)
    taken = set()
    for d, (label, score) in enumerate(detections):
        if score < threshold:
            continue
        free = [o for o in range(len(objects)) if o not in taken and iou[d][o] >= 0.5]
        if free:
            best = max(free, key=lambda o: (iou[d][o], objects[o] == label, -o))
            taken.add(best)
            matrix[objects[best], label] += 1
        elif not in_crowd[d]:
            matrix[num_classes, label] += 1
    for o, label in enumerate(objects):
        if o not in taken:
            matrix[label, num_classes] += 1
    return matrix
