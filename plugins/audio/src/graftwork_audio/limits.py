"""What sound may ask of memory and time, checked by its header before a sample is read."""

from __future__ import annotations

from graftwork import how_to_lower, how_to_raise, limits

BYTES = 4
"""Of a sample once it is decoded, float32."""
USUAL = 16_000
"""Hz that encoders read: a clip of a lower rate grows to it."""


class TooLarge(Exception):
    """What was found and what is accepted, as the end of a sentence. hint: the option that lets it pass."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


def check_facts(rate: int, channels: int, frames: int) -> None:
    """Raises `TooLarge` for a rate that is not resampled (Hz), too many channels, or too long a sound."""
    most = limits()
    if rate < most.audio_lowest_rate:
        raise TooLarge(
            f"its sampling rate is {rate:,} Hz; {most.audio_lowest_rate:,} Hz or more is accepted",
            how_to_lower("audio_lowest_rate", max(1, rate)),
        )
    if rate > most.audio_highest_rate:
        raise TooLarge(
            f"its sampling rate is {rate:,} Hz; {most.audio_highest_rate:,} Hz or less is accepted",
            how_to_raise("audio_highest_rate", rate),
        )
    if channels > most.audio_channels:
        raise TooLarge(
            f"it has {channels:,} channels; at most {most.audio_channels:,} are accepted",
            how_to_raise("audio_channels", channels),
        )
    if frames > most.audio_seconds * rate:
        raise TooLarge(
            f"it lasts {frames // rate:,} s; at most {most.audio_seconds:,} s are accepted",
            how_to_raise("audio_seconds", -(-frames // rate)),
        )


def check_size(rate: int, channels: int, frames: int, size: int) -> int:
    """Check what a sound of so many frames becomes in memory. size: bytes of its file.

    Returns the frames that it may have. Raises `TooLarge`.
    """
    found = limits()
    most = max(found.packed_bytes, found.audio_ratio * size)
    needed = BYTES * channels * frames * max(rate, USUAL) // rate
    if needed > most:
        raise TooLarge(
            f"it holds {frames / rate:,.0f} s in {channels} channels at {rate:,} Hz, {needed:,} bytes in memory; at "
            f"most {most:,} are accepted of a file of {size:,} bytes",
            how_to_raise("packed_bytes", needed),
        )
    return most // (BYTES * channels)
