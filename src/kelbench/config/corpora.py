"""The registry of prose for masked language modelling: config/corpora/NAME.yaml, one class for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from kelbench.base.errors import UserError, nearest
from kelbench.config.datasets import DatasetFile, Name, Sha256
from kelbench.config.parts import Positive
from kelbench.config.yaml_source import Settings, load_entry

CORPORA_FOLDER = Path("config/corpora")
MADE_FOLDER = Path("data/corpus")

CorpusFormat = Literal["semeval", "fewrel", "open_entity", "conll"]


class CorpusFile(DatasetFile):
    """One file of sentences."""

    format: CorpusFormat = Field(
        description='semeval: number, tab, "sentence", then lines of its relation and of a comment; '
        "fewrel: {relation: [{tokens}]}; open_entity: a JSON object a line, whose left context, mention and right "
        "context are the sentence; conll: a token a line, its tags after tabs, a blank line between sentences"
    )


class CorpusSettings(Settings):
    """Prose made of the sentences of public datasets: white space normalised, no duplicates, none under 5 words."""

    name: Name = Field(description="that of the file; data/corpus/NAME.txt is made of it")
    title: str = Field(description="what it is, in a line")
    source: str = Field(description="who published it: citations")
    notes: str = Field(description="which parts of the datasets it takes, and what their licences allow")
    files: list[CorpusFile] = Field(min_length=1, description="what to fetch and read, in this order")
    texts: Positive = Field(description="lines of the corpus, asserted when it is made")
    sha256: Sha256 = Field(description="of the corpus, asserted when it is made")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [file.name for file in self.files]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"files: expected each name once, found {name} twice")
        return self


def registered_corpora(folder: Path = CORPORA_FOLDER) -> list[str]:
    """Names of the corpora in the registry, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_corpus(name: str, folder: Path = CORPORA_FOLDER) -> CorpusSettings:
    """Read one corpus's entry.

    Raises:
        UserError: there is no such corpus, or its entry does not fit.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"corpus {name!r} is not in {folder}{nearest(name, registered_corpora(folder))}")
    return load_entry(CorpusSettings, path)
