"""The page docs/configuration.md, made from the settings classes, so that it cannot say anything else than they do.

python -m kelbench.config.reference > docs/configuration.md
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from kelbench.config import (
    clep,
    corpora,
    datasets,
    experiment,
    graph_decoders,
    graph_encoder,
    kepler,
    methods,
    parts,
    text_encoder,
)
from kelbench.config.yaml_source import Settings

_PAGES: list[tuple[str, str, list[type[Settings]]]] = [
    (
        "Experiment files",
        "`config/NAME.yaml`, given to `snakemake --configfile` and to `kelbench --config`.",
        [experiment.ExperimentSettings, experiment.RunEntry, datasets.CustomDataset, datasets.SplitFractions],
    ),
    (
        "Settings of methods",
        "Defaults stand in `config/methods/NAME.yaml`; a run's `settings` and `per_dataset` replace them key by key.",
        [
            methods.KnowledgeEmbeddingSettings,
            methods.PykeenSettings,
            methods.NodePieceSettings,
            methods.Negatives,
            methods.Regularizer,
            parts.EarlyStopping,
            methods.RandomSettings,
            methods.FrequencySettings,
            methods.TextCosineSettings,
            methods.NameMatchSettings,
            kepler.TextKnowledgeEmbeddingSettings,
            text_encoder.TextEncoderSettings,
            kepler.TextNegatives,
            kepler.MaskedLanguageModelling,
            clep.ContrastiveSettings,
            graph_encoder.GraphEncoderSettings,
            graph_decoders.GraphDecoderSettings,
            graph_decoders.ConvolutionSettings,
        ],
    ),
    (
        "The method registry",
        "`config/methods/NAME.yaml`.",
        [experiment.MethodEntry, experiment.Paper],
    ),
    (
        "The dataset registry",
        "`config/datasets/NAME.yaml`.",
        [
            datasets.DatasetSettings,
            datasets.DatasetFile,
            datasets.TripleSource,
            datasets.TextSource,
            datasets.LinkingSource,
            datasets.Counts,
            datasets.DrawnInference,
        ],
    ),
    (
        "The registry of prose",
        "`config/corpora/NAME.yaml`. A run takes it as `masked_language_modelling: {corpus: file, "
        "file: data/corpus/NAME.txt, batch_size: 64}`.",
        [corpora.CorpusSettings, corpora.CorpusFile],
    ),
]


def page() -> str:
    """The whole page as Markdown."""
    parts = [
        "# Configuration",
        "",
        "Made from the settings classes by `python -m kelbench.config.reference > docs/configuration.md`; do not edit.",
        "An unknown key, a key said twice and a value that does not fit are errors that name file, line and key.",
    ]
    for title, text, classes in _PAGES:
        parts += ["", f"## {title}", "", text]
        for settings in classes:
            parts += ["", *_table(settings)]
    return "\n".join(parts) + "\n"


def _table(settings: type[Settings]) -> list[str]:
    summary = " ".join((settings.__doc__ or "").split("\n\n")[0].split())
    lines = [f"### {settings.__name__}", "", summary]
    if not settings.model_fields:
        return lines
    lines += ["", "| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in settings.model_fields.items():
        default = "required" if field.is_required() else _shown(field)
        lines.append(f"| `{name}` | {_type_name(field.annotation)} | {default} | {field.description or ''} |")
    return lines


def _shown(field: Any) -> str:
    if field.default_factory is not None:
        return "empty"
    if field.default is None or field.default is PydanticUndefined:
        return "none"
    return f"`{field.default}`"


def _type_name(annotation: Any) -> str:
    """A readable form of an annotation: choices by name, containers with what they hold, None left out."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(argument) for argument in arguments if argument is not NoneType)
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"{_type_name(arguments[0])} to {_type_name(arguments[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "any value"}
    return names.get(annotation) or annotation.__name__


if __name__ == "__main__":
    print(page(), end="")
