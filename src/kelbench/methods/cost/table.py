"""The costs of an experiment's runs as a table, on a named GPU."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from kelbench.base.errors import UserError, nearest
from kelbench.config.experiment import Experiment, Run
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.methods.cost.estimate import Estimate, estimate

# Of the peak; large transformers on A100 reach 41 to 56 % (Korthikanti et al. 2022, Table 5), small ones less.
UTILISATION = 0.4
_GIB = float(1 << 30)


@dataclass(frozen=True)
class Gpu:
    """A GPU: dense FLOPs a second at 16 and at 32 bits (no TF32) as its data sheet says, and memory."""

    half: float
    single: float
    gib: int
    bfloat16: bool = True


GPUS = {
    "V100": Gpu(125e12, 15.7e12, 32, bfloat16=False),
    "V100-16GB": Gpu(125e12, 15.7e12, 16, bfloat16=False),
    "A100": Gpu(312e12, 19.5e12, 80),
    "A100-40GB": Gpu(312e12, 19.5e12, 40),
    "H100": Gpu(989e12, 67e12, 80),
    "H200": Gpu(989e12, 67e12, 141),
}
_HEADINGS = (
    *("run", "trained", "steps", "texts", "tokens", "all tokens", "FLOPs", "to encode"),
    *("state", "pass", "entities", "GiB", "hours"),
)


def cost_table(experiment: Experiment, gpu: str, gpus: int) -> str:
    """A table a dataset, a line a run of a text method; then what it rests on, and what does not fit.

    Raises:
        UserError: no such GPU, or an encoder whose shape is not known here.
    """
    known = {name.lower(): name for name in GPUS}
    if gpu.lower() not in known:
        raise UserError(f"GPU {gpu!r} is not known{nearest(gpu.upper(), GPUS)}")
    name = known[gpu.lower()]
    lines: list[str] = []
    notes: list[str] = []
    left_out: list[str] = []
    for dataset in experiment.datasets:
        runs = [run for (data, _), run in sorted(experiment.runs.items()) if data == dataset]
        rows = []
        for run in runs:
            row = _row(experiment, run, GPUS[name], gpus, notes)
            if row is None:
                left_out.append(run.name)
            else:
                rows.append(row)
        if rows:
            lines += [f"{dataset}, one seed on {gpus} x {name}", *_aligned([list(_HEADINGS), *rows]), ""]
    if not lines:
        raise UserError(
            f"{experiment.path}: expected a run that trains a text encoder on a registered dataset, found none"
        )
    lines += _assumptions(name, gpus)
    if left_out:
        names = ", ".join(dict.fromkeys(left_out))
        said = f"Not estimated, being no trained text methods or on graphs without published counts: {names}."
        lines += ["", *textwrap.wrap(said, 118)]
    if notes:
        lines += ["", "What to mind", *dict.fromkeys(notes)]
    return "\n".join(lines)


def _row(experiment: Experiment, run: Run, gpu: Gpu, gpus: int, notes: list[str]) -> list[str] | None:
    settings, entry = run.settings, experiment.registered.get(run.dataset)
    if not isinstance(settings, TextKnowledgeEmbeddingSettings) or entry is None or entry.counts is None:
        return None
    cost = estimate(settings, entry.counts, gpus)
    _note(run.name, settings, cost, gpu, gpus, notes)
    half = settings.encoder.precision == "bfloat16"
    rate = UTILISATION * (gpu.half if half else gpu.single)
    # The first process alone validates; the others wait for it.
    hours = (cost.busiest_flops + cost.encoding_flops) / rate / 3600
    # The time of bags of words goes into memory traffic, not into arithmetic.
    timed = settings.encoder.kind != "bow"
    return [
        run.name,
        _short(cost.parameters) + ("+" if cost.open_ended else ""),
        f"{cost.steps:,}",
        f"{cost.texts:,}",
        _short(cost.tokens),
        _short(cost.steps * cost.tokens),
        f"{cost.training_flops:.1e}",
        f"{cost.encoding_flops:.1e}",
        f"{cost.state_bytes / _GIB:.1f}" + ("+" if cost.open_ended else ""),
        f"{cost.pass_bytes / _GIB:.1f}",
        f"{cost.entity_bytes / _GIB:.1f}",
        f"{cost.peak_bytes / _GIB:.1f}" + ("+" if cost.open_ended else ""),
        _hours(hours) if timed else "-",
    ]


def _note(
    name: str, settings: TextKnowledgeEmbeddingSettings, cost: Estimate, gpu: Gpu, gpus: int, notes: list[str]
) -> None:
    room = gpu.gib * _GIB
    if cost.open_ended:
        notes.append(f"  {name}: + {cost.open_ended}")
    if settings.encoder.precision == "bfloat16" and not gpu.bfloat16:
        notes.append("  this GPU has no bfloat16: hours are for its peak at float16, which kelbench does not train in")
    if cost.peak_bytes <= room:
        return
    needs = f"  {name}: {cost.peak_bytes / _GIB:.0f} GiB do not fit into {gpu.gib}; "
    others = room - cost.state_bytes
    if others <= 0:
        notes.append(needs + "lower encoder.trained_layers, or take a smaller encoder")
    elif cost.entity_bytes > others:
        notes.append(needs + "lower encoder.projection: the matrix of entities alone is too large")
    else:
        rest = cost.pass_bytes - settings.texts_per_pass * cost.bytes_per_text
        fitting = int((others - rest) / cost.bytes_per_text) if cost.bytes_per_text else 0
        if fitting > 0:
            notes.append(needs + f"lower texts_per_pass to {fitting} or less")
        else:
            notes.append(needs + "lower encoder.max_tokens, or set encoder.gradient_checkpointing")


def _assumptions(name: str, gpus: int) -> list[str]:
    gpu = GPUS[name]
    alone = [
        "Upper bounds, nothing downloaded: counts are those of config/datasets, every epoch is trained, every text is "
        "as long as max_tokens, and the texts of a batch are all different (2 x batch entities, negatives, conditioned "
        "queries).",
        "trained: parameters. texts, tokens: of a step, with those of masked language modelling. FLOPs: of training; "
        "forward 2 a weight of the layers and 4 x length x width a layer, each for every token; backward twice that; "
        "forward once more where a step's texts are more than texts_per_pass, once more with gradient_checkpointing "
        "(Korthikanti et al. 2022). to encode: FLOPs of all entities' texts, at each validation and at the end.",
        "GiB, of each GPU: state (weights, gradient, AdamW, 16-bit copy) and the larger of pass (what texts_per_pass "
        "texts keep until the way back, by Eq. 2 there; kernels that write no table of attention keep less) and "
        "entities (all vectors at 32 bits, while a validation ranks).",
        f"hours: {UTILISATION:.0%} of {gpu.half / 1e12:g} TFLOPS at 16 bits or {gpu.single / 1e12:g} at 32. Reading "
        "and tokenizing texts, and ranking, are not in them; nor is the traffic of word vectors, which is what bow "
        "takes time for.",
    ]
    shared = (
        f"{gpus} GPUs share a step's passes, exchange gradients in no time, and encode texts twice; the first alone "
        "validates."
    )
    return [line for text in [*alone, *([shared] if gpus > 1 else [])] for line in textwrap.wrap(text, 118)]


def _short(number: float) -> str:
    """Three digits and a unit: `31.5M`."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g}{unit}" if number < 999.5 * factor else f"{number / factor:.0f}{unit}"
    return f"{number:.0f}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 0.1 else f"{hours:.1g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
