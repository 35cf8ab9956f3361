"""Heads that look at the frames around a frame too, for encoders that stay frozen."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from graftwork import Head, LinearHead, SequenceView

WIDTH, DROPOUT, LAYERS, KERNEL = 128, 0.2, 2, 5


class Contextual(Head):
    """Frames `(B, T, D)` brought to a small width, what `around` makes of them with their neighbours, and the scores of
    the signs `(B, T, K)`."""

    def __init__(self, channels: int, outputs: int, wide: int) -> None:
        super().__init__()
        self.narrow = LinearHead(channels, WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.last = nn.Linear(wide, outputs)

    def forward(self, features: SequenceView) -> Tensor:
        hidden = self.dropout(nn.functional.gelu(self.narrow(features.hidden)))
        return self.last(self.dropout(self.around(hidden, features.mask.to(hidden.device))))

    @abstractmethod
    def around(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """What stands around each frame, `(B, T, WIDTH)` to `(B, T, wide)`."""

    def fit_scaler(self, features: SequenceView) -> None:
        self.narrow.fit_scaler(features.hidden[features.mask.to(features.hidden.device)])


class CtcLstm(Contextual):
    """Two layers of an LSTM that reads both ways; the end of padding is not where it begins."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 2 * WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, LAYERS, batch_first=True, bidirectional=True, dropout=DROPOUT)

    def around(self, hidden: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False)
        made, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=hidden.shape[1])
        return made


class CtcConv(Contextual):
    """Two convolutions over five frames each, with what came in added to what comes out."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, WIDTH)
        self.convolutions = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, KERNEL, padding="same") for _ in range(LAYERS))

    def around(self, hidden: Tensor, mask: Tensor) -> Tensor:
        for convolution in self.convolutions:
            seen = hidden.masked_fill(~mask[..., None], 0.0).transpose(1, 2)
            hidden = hidden + nn.functional.gelu(convolution(seen)).transpose(1, 2)
        return hidden
