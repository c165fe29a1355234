"""Arguments that every data set takes, checked before any file is read."""

import logging

from ..transforms.compose import Compose

logger = logging.getLogger(__name__)

BUFFER_SIZE = 100  # PaddleX's defaults of two arguments that mean nothing here
PARALLEL_METHOD = "process"


def check_reading_options(
    owner: str, transforms: object, num_workers: object, shuffle: object
) -> None:
    """Refuse arguments that no dataset accepts."""
    if transforms is not None and not isinstance(transforms, Compose):
        raise ValueError(
            f"{owner}: transforms must be a Compose (or None), got {transforms!r}; "
            f"put the operators in transforms.Compose([...])"
        )
    is_count = isinstance(num_workers, int) and not isinstance(num_workers, bool)
    if num_workers != "auto" and not (is_count and num_workers >= 0):  # type: ignore[operator]
        raise ValueError(
            f"{owner}: num_workers must be 'auto' or an integer >= 0, got {num_workers!r}"
        )
    check_flag(owner, "shuffle", shuffle)


def check_flag(owner: str, name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"{owner}: {name} must be True or False, got {value!r}")


def note_without_effect(buffer_size: object, parallel_method: object) -> None:
    """Say so when a PaddleX script sets what has no effect here."""
    if buffer_size != BUFFER_SIZE or parallel_method != PARALLEL_METHOD:
        logger.warning(
            "buffer_size and parallel_method have no effect: batches are always prepared by "
            "num_workers processes"
        )
