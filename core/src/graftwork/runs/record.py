"""What `run.json` says of a fit: what was asked, agreed, done, measured and proven."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from graftwork.data.fingerprint import contents
from graftwork.data.reading import Data
from graftwork.data.streaming import Stream
from graftwork.errors import GraftworkError
from graftwork.freeze import freezing
from graftwork.models.engines.folders import engine_version
from graftwork.models.machine import versions
from graftwork.plugins import registry
from graftwork.runs.backbone_cache import Loaded
from graftwork.runs.brought import brought
from graftwork.runs.planning import FitPlan
from graftwork.runs.run import FORMAT
from graftwork.specs import pretraining_card
from graftwork.tasks.task import Targets
from graftwork.training.trainer import Trained

if TYPE_CHECKING:
    from graftwork.runs.steps import Encoded, Outcome


def record(
    plan: FitPlan,
    data: Data | Stream,
    model: Loaded,
    *,
    encoded: Encoded,
    outcome: Outcome,
    known: Targets,
    metrics: dict[str, Any],
    overlap: dict[str, Any] | None,
    validation: dict[str, Any],
    warnings: list[str],
    seconds: dict[str, float],
    tried: list[dict[str, Any]],
) -> dict[str, Any]:
    """The record of a run, as JSON can say it."""
    request, extracted, trained, splits = plan.request, encoded.extracted, outcome.trained, outcome.dataset.splits
    return {
        "format": FORMAT,
        "task": request.task,
        "target_transform": request.target_transform,
        "backbone": plan.spec.name,
        "modality": data.modality.name,
        "tap": "+".join(plan.spec.stages[tap] for tap in outcome.taps),
        "taps": list(outcome.tried),
        "depths": list(encoded.depths),
        "tried": tried,
        "feature_dim": outcome.dataset.width if outcome.width is None else outcome.width,
        "freeze": request.freeze,
        "head": plan.head.name,
        "options": dict(plan.task.options),
        "engine": {
            "used": outcome.choice.engine,
            "asked": request.engine,
            "version": engine_version(outcome.choice.engine),
            "calibration": extracted.calibration,
        },
        "decoder": extracted.decoder or "reader",
        "trained_by": "exact" if plan.exactly else "loop",
        "seed": request.seed,
        "labels": label_counts(plan, encoded),
        "targets": known.as_json(),
        "data": {
            "name": data.name,
            "observed": extracted.observed.as_json(),
            "left_out": [vars(bad) for bad in extracted.left_out],
            "input": data.head.input,
            "label": list(data.head.label),
            "rules": {"label_map": dict(data.rules.rename), "drop_label": sorted(data.rules.drop)},
        },
        "contract": model.backbone.spec.contract.as_json(),
        "adapter": request.adapter,
        **brought(registry.reads(plan.spec, request.adapter), request.convert),
        "long": vars(extracted.long),
        "defects": extracted.lost(data.modality, registry.reads(plan.spec, request.adapter)),
        "agreement": encoded.agreement.as_json(),
        "warnings": warnings,
        "metrics": metrics,
        "calibration": None if plan.dense else plan.task.calibration(*outcome.validated, encoded.known),
        "headline": plan.task.headline(metrics, len(splits["validation"])),
        "validation": validation,
        "n_train": len(splits["train"]),
        "n_val": len(splits["validation"]),
        "n_test": len(splits["test"]),
        "refit": plan.exactly and request.refit is not False,
        "training": trained.details,
        "settings": {name: getattr(request.settings, name) for name in request.settings.applicable("exact")}
        if plan.exactly
        else asdict(request.settings),
        "adapted": dict(trained.adapted),
        "precision": {"used": outcome.choice.precision, "asked": request.precision, "cosine": outcome.cosine},
        "weights_digest": model.digest,
        "certificate": outcome.certificate,
        "overlap": overlap,
        "cache": {"hits": extracted.hits, "misses": extracted.misses},
        "timings": seconds,
        "versions": versions(),
    }


def label_counts(plan: FitPlan, encoded: Encoded) -> dict[str, dict[str, int]]:
    """For each label how many examples of each split have it; empty where labels are no names."""
    labels, splits = encoded.extracted.labels, encoded.dataset.splits
    counts = {name: plan.task.tally([labels[i] for i in numbers]) for name, numbers in splits.items()}
    names = plan.task.tally([labels[i] for numbers in splits.values() for i in numbers])
    order = [name for name in encoded.known.names if name in names] or list(names)
    return {name: {split: found.get(name, 0) for split, found in counts.items()} for name in order}


def certified(trained: Trained, model: Loaded, freeze: str) -> dict[str, Any]:
    """The certificate. Raises `GraftworkError` when a frozen tensor moved."""
    backbone = model.backbone.eval().requires_grad_(False)
    found = freezing.certificate(trained.moving, model.digests, freezing.stage_digests(backbone.stages()))
    if found["ok"]:
        return found
    leaked = found["leaked"]
    more = f" and {len(leaked) - 1} more were" if len(leaked) > 1 else " was"
    raise GraftworkError(
        f"'{leaked[0]}'{more} frozen by the policy '{freeze}' and changed during the run.",
        f"This is a fault of the plugin that brings '{backbone.spec.name}'; report it.",
    )


def pretraining_overlap(plan: FitPlan, data: Data | Stream) -> tuple[dict[str, Any] | None, list[str]]:
    """How many of the examples the encoder was pretrained on, where its card says on which; and what to warn of."""
    folder = pretraining_card.of(plan.spec.weights.find())
    if folder is None or isinstance(data, Stream):
        return None, []
    found = pretraining_card.overlap(folder, contents(data))
    flattered = (
        f"{found} of {len(data)} {data.observed.items} are among those that '{plan.spec.name}' was pretrained on, so "
        "its figures on them flatter it"
    )
    return {"examples": found, "of": len(data)}, [flattered] if found else []
