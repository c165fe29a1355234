"""Mixup, and why it is not here."""


class MixupImage:
    """Refused: the sentence says why, and what to use instead."""

    reason = (
        "MixupImage is not for Mask R-CNN: it lays two images over each other half transparent and "
        "gives their objects weights that only YOLOv3's loss reads (PaddleX documents it for YOLOv3 "
        "alone), while a pixel that shows both images belongs to no mask. CopyPaste mixes images "
        "object by object"
    )

    def __init__(self, alpha: float = 1.5, beta: float = 1.5, mixup_epoch: int = -1) -> None:
        """Refuse.

        Args:
            alpha: as PaddleX has it.
            beta: likewise.
            mixup_epoch: likewise.

        Raises:
            ValueError: always.
        """
        raise ValueError(self.reason)
