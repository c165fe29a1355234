"""TIDE's error kinds and gains, written for one detection at a time from the paper's definitions."""

import numpy as np


def ap50(points, num_objects):
    """Mean over recall of the best precision at that recall or more; points: (score, right)."""
    points = sorted(points, key=lambda p: -p[0])
    hits, precision, recall = 0, [], []
    for n, (_, right) in enumerate(points, 1):
        hits += right
        precision.append(hits / n)
        recall.append(hits / num_objects)
    at = [
        max((p for p, r in zip(precision, recall, strict=True) if r >= wanted), default=0)
        for wanted in np.linspace(0, 1, 101)
    ]
    return sum(at) / 101


def tide(objects, detections, iou):
    """Kinds of error and what mending each gains.

    Args:
        objects: [(image, class)].
        detections: [(image, class, score)], no two scores equal.
        iou: iou[d][o], 0 between different images.

    Returns:
        kind of each detection ('' when right), list of missed objects, AP50, {kind: gain}.
    """
    order = sorted(range(len(detections)), key=lambda d: -detections[d][2])
    owner, right = {}, set()
    for d in order:
        free = [
            o for o, (_, label) in enumerate(objects)
            if label == detections[d][1] and iou[d][o] >= 0.5 and o not in owner
        ]  # fmt: skip
        if free:
            owner[max(free, key=lambda o: iou[d][o])] = d
            right.add(d)
    kinds, target = {}, {}
    for d in order:
        own = {o: iou[d][o] for o, (_, c) in enumerate(objects) if c == detections[d][1]}
        other = {o: iou[d][o] for o, (_, c) in enumerate(objects) if c != detections[d][1]}
        best_own, best_other = max(own.values(), default=0), max(other.values(), default=0)
        if d in right:
            kinds[d] = ""
        elif 0.1 <= best_own < 0.5:
            kinds[d], target[d] = "Loc", max(own, key=own.get)
        elif best_other >= 0.5:
            kinds[d], target[d] = "Cls", max(other, key=other.get)
        elif best_own >= 0.5:
            kinds[d] = "Dupe"
        elif max(best_own, best_other) < 0.1:
            kinds[d] = "Bkg"
        else:
            kinds[d] = "Both"
    missed = [o for o in range(len(objects)) if o not in owner and o not in target.values()]
    mender = {}
    for d in order:
        if d in target and target[d] not in owner:
            mender.setdefault(target[d], d)

    def mean_ap(mend=None):
        aps = []
        for label in sorted({c for _, c in objects}):
            number = sum(c == label for _, c in objects)
            if mend == "Miss":
                number -= sum(objects[o][1] == label for o in missed)
            points = []
            for d in order:
                own_label = detections[d][1]
                if kinds[d] == mend:
                    if mend not in ("Cls", "Loc") or mender.get(target[d]) != d:
                        continue
                    own_label = objects[target[d]][1]
                if own_label == label:
                    points.append((detections[d][2], kinds[d] in ("", mend)))
            if number:
                aps.append(ap50(points, number))
            else:
                aps.append(float(all(hit for _, hit in points)))
        return sum(aps) / len(aps)

    base = mean_ap()
    gains = {
        kind: max(0, mean_ap(kind) - base) for kind in ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
    }
    return [kinds[d] for d in range(len(detections))], missed, base, gains
