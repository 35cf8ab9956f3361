"""What of a new encoder differs by modality: what it needs and reads, its first stage, how it prepares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Text of the templates. imports, model_imports: names of graftwork that the plugin and the model need besides.

    before: what else the model imports. needs: requirements of the package, besides graftwork.
    """

    facts: str
    preparation: str
    stem: str
    needs: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    model_imports: tuple[str, ...] = ()
    prepare: str = ""
    registers: str = ""
    before: str = ""
    torch: str = "import torch\n"


IMAGE = Kind(
    needs=("graftwork-image>=0.1,<0.2",),
    imports=("AtMost", "Exactly"),
    torch="",
    facts="""
    "frames": Exactly(1),
    "orientation": Exactly(1),
    "bit_depth": AtMost(8),
    "mode": Exactly("RGB"),
""",
    preparation="""
    "resize": 64,
    "crop": 64,
    "interpolation": "bilinear",
    "range": (0.0, 1.0),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
""",
    stem='''
class Stem(Stage):
    """Pixels `(B, 3, 64, 64)` to patches `(B, 64, 32)`."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.patches = nn.Conv2d(3, 32, 8, stride=8)

    def forward(self, state: State) -> State:
        return State(self.patches(state.hidden).flatten(2).transpose(1, 2))
''',
)

TEXT = Kind(
    needs=("graftwork-text>=0.1,<0.2",),
    imports=("AtLeast", "Exactly"),
    model_imports=("Value", "check_contract"),
    before="import unicodedata\nfrom collections.abc import Sequence\n",
    facts="""
    "encoding": Exactly("utf-8"),
    "byte_order_mark": Exactly("none"),
    "unicode_form": Exactly("NFC"),
    "characters": AtLeast(1),
""",
    preparation="""
    "max_bytes": 256,
""",
    stem='''
class Stem(Stage):
    """Bytes `(B, T)` to `(B, T, 32)`: each with its neighbours."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.bytes = nn.Embedding(256, 32)
        self.around = nn.Conv1d(32, 32, 3, padding=1)

    def forward(self, state: State) -> State:
        hidden = self.bytes(state.hidden)
        if state.mask is not None:
            hidden = hidden * state.mask[..., None]
        return State(self.around(hidden.transpose(1, 2)).transpose(1, 2), state.mask)
''',
    prepare='''
    def prepare(self, values: Sequence[str]) -> State:
        """Texts to their first bytes `(B, T)` int64, with a mask."""
        for text in values:
            whole = all(not "\\ud800" <= letter <= "\\udfff" for letter in text)  # bytes that are no UTF-8 are not
            facts: dict[str, Value] = {
                "encoding": "utf-8" if whole else "another",
                "byte_order_mark": "utf-8" if "\\ufeff" in text else "none",
                "unicode_form": "NFC" if unicodedata.is_normalized("NFC", text) else "another",
                "characters": len(text),
            }
            check_contract(self.spec, facts)
        rows = [torch.tensor(list(text.encode()[: self.spec.preparation["max_bytes"]])) for text in values]
        hidden = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return State(hidden, torch.arange(hidden.shape[1]) < lengths[:, None])
''',
)

AUDIO = Kind(
    needs=("graftwork-audio>=0.1,<0.2",),
    imports=("Exactly", "Within"),
    facts="""
    "channels": Exactly(1),
    "sampling_rate": Exactly(16_000, "Hz"),
    "duration": Within(0.1, 10.0, "s"),
""",
    preparation="""
    "normalize": True,
""",
    stem='''FRAME = 400
"""Samples of a frame, 25 ms."""


class Stem(Stage):
    """Waveforms `(B, T)` to frames `(B, T', 32)`; a frame counts where all of it is sound."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.frames = nn.Conv1d(1, 32, FRAME, stride=FRAME)

    def forward(self, state: State) -> State:
        hidden = self.frames(state.hidden[:, None]).relu().transpose(1, 2)
        if state.mask is None:
            return State(hidden)
        lengths = state.mask.sum(1) // FRAME
        return State(hidden, torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None])
''',
)

NEW = Kind(
    needs=("numpy>=2.0",),
    imports=("AtLeast", "Converter", "Exactly", "Fact", "Modality", "OneOf"),
    model_imports=("check_contract",),
    before="from collections.abc import Sequence\n",
    facts="""
    "rate": Exactly(10, "Hz"),
    "points": AtLeast(4),
""",
    preparation="",
    registers="""
@hookimpl
def graftwork_modalities() -> Iterator[Modality]:
    yield Modality(
        "$modality",
        noun="$modality data",
        reader="$package.reader:Series",
        facts=(Fact("rate", "the first line", "Hz", headline=True), Fact("points", "the lines")),
        extensions=(".series",),
        sample="$package.reader:sample",
    )


@hookimpl
def graftwork_converters() -> Iterator[Converter]:
    yield Converter(
        "thin",
        modality="$modality",
        fact="rate",
        factory="$package.reader:thin",
        accepts=OneOf((20, 30, 40, 50)),
        gives=Exactly(10),
        loss=lambda seen, to: "points in between are left out",
    )

""",
    stem='''
class Stem(Stage):
    """Numbers `(B, T)` to `(B, T, 32)`: each with its neighbours."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.around = nn.Conv1d(1, 32, 5, padding=2)

    def forward(self, state: State) -> State:
        hidden = state.hidden if state.mask is None else state.hidden * state.mask
        return State(self.around(hidden[:, None]).relu().transpose(1, 2), state.mask)
''',
    prepare='''
    def prepare(self, values: Sequence[tuple[int, Sequence[float]]]) -> State:
        """Series to `(B, T)` float32, with a mask."""
        for rate, points in values:
            check_contract(self.spec, {"rate": rate, "points": len(points)})
        rows = [torch.as_tensor(points, dtype=torch.float32) for _, points in values]
        hidden = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return State(hidden, torch.arange(hidden.shape[1]) < lengths[:, None])
''',
)

KINDS = {"image": IMAGE, "text": TEXT, "audio": AUDIO}
