"""The colour of ground that no pixel of the image covers: how operators take it from users."""

from collections.abc import Sequence

from .arguments import check_numbers
from .setting import Setting


def check_fill_value(operator: str, fill_value: Sequence[float] | None) -> list[float] | None:
    """A list of numbers, or None for the mean colour."""
    return None if fill_value is None else check_numbers(operator, "fill_value", fill_value)


def check_fill_length(operator: str, fill_value: list[float] | None, setting: Setting) -> None:
    """Raise ValueError when there is not one number for each channel."""
    if fill_value is not None and len(fill_value) != setting.num_channels:
        raise ValueError(
            f"{operator}: fill_value has {len(fill_value)} numbers, but the images have "
            f"{setting.num_channels} channels (input_channel); give one for each"
        )
