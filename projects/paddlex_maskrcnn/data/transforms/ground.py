"""The colour of what no pixel of the image covers."""

from .setting import Setting


def check_fill_length(operator: str, fill_value: list[float] | None, setting: Setting) -> None:
    """Raise ValueError when there is not one number for each channel."""
    if fill_value is not None and len(fill_value) != setting.num_channels:
        raise ValueError(
            f"{operator}.fill_value is {fill_value}; {setting.num_channels} numbers are needed, one "
            "for each channel of the images (input_channel)"
        )
