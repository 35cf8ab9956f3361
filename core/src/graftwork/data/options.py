"""What a user says of a source, beside where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graftwork.data.labels import NO_RULES, LabelNames, LabelRules
from graftwork.errors import UsageError
from graftwork.plugins import registry
from graftwork.specs.task import DEFAULT_TASK, TaskSpec


@dataclass(frozen=True)
class SourceOptions:
    """How a source is read.

    input, label: the columns of a table, found by themselves when plain. labelled: whether labels are required; None
    takes them if they are plain. task: the task of the labels. layout: the name of the folder's layout; empty finds it.
    rules: which labels are mapped or dropped; strict: a label that they name and no example has is refused.
    allow_outside: paths in a table may lead outside of its folder. modality: that of the inputs, where the user named
    it; no other is accepted. prefers: that of the encoder, which decides where two may read the same.
    usual_input, usual_label: the columns that are taken where none are named, if the table has them.
    """

    input: str | None = None
    label: tuple[str, ...] = ()
    labelled: bool | None = True
    task: str = DEFAULT_TASK
    layout: str = ""
    rules: LabelRules = NO_RULES
    strict: bool = True
    allow_outside: bool = False
    modality: str = ""
    prefers: str = ""
    usual_input: str = ""
    usual_label: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        input: str | None = None,
        label: str | Sequence[str] | None = None,
        labelled: bool | None = True,
        task: str = DEFAULT_TASK,
        layout: str = "",
        label_map: Mapping[str, str] | str | Path | None = None,
        drop_label: str | Sequence[str] | None = None,
        allow_outside: bool = False,
        modality: str = "",
        backbone: str | None = None,
        adapter: str | None = "",
    ) -> SourceOptions:
        """From the arguments of `graftwork.data`. backbone, adapter: those that will read the data, if named.

        Raises what `read_label_map` raises, and `UnknownName` for what no installed plugin brings.
        """
        if modality:
            registry.modality(modality)
        prefers = ""
        if adapter:
            prefers = registry.adapter(adapter).contract.modality
        elif backbone and backbone != "auto":
            prefers = registry.backbone(backbone).modality
        return cls(
            input, several(label), labelled, task, layout,
            LabelRules(_mapped(label_map), frozenset(several(drop_label))), True, allow_outside, modality, prefers,
        )  # fmt: skip

    @property
    def wanted(self) -> str:
        """The modality that reads what several may read: the encoder's, the one that is named, or the task's."""
        return self.prefers or self.modality or self.spec.modality

    @property
    def spec(self) -> TaskSpec:
        return registry.task(self.task)

    def columns(self, there: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
        """The input column and the label columns to take of those that a table has; None and none to find them."""
        usual_label = self.usual_label if set(self.usual_label) <= set(there) else ()
        usual_input = self.usual_input if self.usual_input in there else None
        return self.input or usual_input, self.label or usual_label

    def names(self) -> LabelNames:
        """The labels of one reading of the source, none yet."""
        return LabelNames(self.spec, self.rules)

    def check_no_columns(self, folder: Path) -> None:
        """Raises `UsageError` if columns are named for a folder of files."""
        if self.input or self.label:
            raise UsageError(
                f"'{folder}' is a folder of files, which has no columns.", "Leave out --input and --label."
            )

    def check_no_layout(self, name: str) -> None:
        """Raises `UsageError` if a layout is named for a table."""
        if self.layout:
            raise UsageError(f"'{name}' is a table; --layout is for folders.", "Leave out --layout.")


def several(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """What a user named, as a tuple: none, one, or several."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _mapped(given: Mapping[str, str] | str | Path | None) -> Mapping[str, str]:
    if given is None or isinstance(given, Mapping):
        return given or {}
    from graftwork.data.label_map import read_label_map

    return read_label_map(Path(given))
