"""The experiment file: which runs, on which datasets, with which settings; and what it resolves to."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kelbench.base.errors import ProblemList, UserError, nearest
from kelbench.base.files import digest_of
from kelbench.config.datasets import (
    CustomDataset,
    DatasetSettings,
    is_name,
    load_dataset,
    registered_names,
)
from kelbench.config.graph_decoders import GraphDecoderSettings, start_problem
from kelbench.config.methods import METHODS_OF_TASK, SETTINGS_OF, MethodSettings, encoder_name
from kelbench.config.yaml_source import Location, Settings, YamlSource, check, load_entry, read_yaml, validate

METHODS_FOLDER = Path("config/methods")

Engine = Literal["native", "pykeen"]
Preset = Literal["paper", "code", "ours"]
Device = Literal["cpu", "cuda"]


class Paper(Settings):
    """Where a method or a claim comes from."""

    title: str = Field(description="as printed")
    authors: str = Field(description="family names")
    year: int = Field(description="of publication")
    url: str = Field(description="where to read it")


class MethodEntry(Settings):
    """config/methods/NAME.yaml: what a method is called, who published it, and its default settings per engine."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="that of the file")
    label: str = Field(description="the name that papers print")
    kind: Literal["knowledge embedding", "inductive", "text", "control"] = Field(description="how tables group it")
    paper: Paper | None = Field(None, description="where it comes from")
    summary: str = Field(description="one sentence for the report")
    settings: dict[Engine, dict[str, Any]] = Field(description="engine -> default settings")


class RunEntry(Settings):
    """One run: a method, an engine, the datasets it is trained on, and what differs from the method's defaults."""

    method: str = Field(description="name of an entry in config/methods")
    engine: Engine = Field("native", description="who trains it: kelbench or PyKEEN; kelbench ranks both")
    preset: Preset = Field(
        "ours", description="paper or code: the published settings, judged against claims; ours: tuned here, no verdict"
    )
    datasets: list[str] = Field(min_length=1, description="registered datasets or graphs of `custom`")
    settings: dict[str, Any] = Field(default_factory=dict, description="keys that replace the method's defaults")
    per_dataset: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="dataset -> keys that replace `settings` there"
    )
    tasks: list[Literal["entity_linking"]] = Field(
        default_factory=list, description="text tasks of the datasets that the trained model is tested on as well"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.datasets)) != len(self.datasets):
            raise ValueError("a dataset is named twice")
        for name in self.per_dataset:
            if name not in self.datasets:
                raise ValueError(f"per_dataset names {name}, which is not among datasets{nearest(name, self.datasets)}")
        return self


class ExperimentSettings(Settings):
    """One experiment file: everything that `snakemake --configfile FILE` builds."""

    experiment: str = Field(description="names the folders results/EXPERIMENT and reports/EXPERIMENT")
    title: str = Field(description="the heading of its report")
    threads: int = Field(1, gt=0, description="threads of a training or ranking job; part of what makes bits repeat")
    device: Device = Field(
        "cpu",
        description="where kelbench trains its own models and ranks every one; bits repeat on a CPU",
    )
    memory_mib: int = Field(4000, gt=0, description="memory that a training or ranking job may be given")
    minutes: int = Field(60, gt=0, description="run time that a cluster may be asked for, a job")
    seeds: list[int] = Field(min_length=1, description="one model a seed; every seed is reported")
    compared_with: list[str] = Field(
        [],
        description="a run, or several, that the report compares every other one with, besides the best: with that of "
        "its own method, else with the first",
    )
    custom: dict[str, CustomDataset] = Field(default_factory=dict, description="name -> a graph of your own")
    runs: dict[str, RunEntry] = Field(min_length=1, description="name -> a run; the name is that of its folder")

    @field_validator("experiment")
    @classmethod
    def _experiment_name(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError("expected lower-case letters, digits, - and _")
        return name

    @field_validator("compared_with", mode="before")
    @classmethod
    def _one_or_several(cls, names: object) -> object:
        return [names] if isinstance(names, str) else names

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("expected different numbers, none below zero")
        return seeds

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in (*self.runs, *self.custom):
            if not is_name(name):
                raise ValueError(f"{name!r}: expected lower-case letters, digits, - and _")
        for name in self.compared_with:
            if name not in self.runs:
                hint = nearest(name, list(self.runs))
                raise ValueError(f"compared_with names {name}, which is not among runs{hint}")
        return self


@dataclass(frozen=True)
class Run:
    """A run on one dataset, every setting decided.

    Attributes:
        encoder: what encodes texts in it, or in the run that it starts from; None where nothing does.
        tasks: text tasks of the dataset that the trained model is tested on.
    """

    experiment: str
    dataset: str
    name: str
    method: str
    method_label: str
    kind: str
    engine: Engine
    preset: Preset
    seeds: tuple[int, ...]
    threads: int
    device: Device
    settings: MethodSettings
    encoder: str | None
    tasks: tuple[str, ...] = ()

    def resolved(self) -> dict[str, Any]:
        """What decides the weights of one seed, as JSON-like data; a change of it means retraining."""
        return {
            "dataset": self.dataset,
            "method": self.method,
            "engine": self.engine,
            "threads": self.threads,
            "device": self.device,
            "settings": self.settings.model_dump(mode="json"),
        }

    def digest(self) -> str:
        """SHA-256 of `resolved`."""
        return digest_of(self.resolved())

    def folder(self, results: Path) -> Path:
        """`results/EXPERIMENT/DATASET/RUN`."""
        return results / self.experiment / self.dataset / self.name

    def seed_folder(self, results: Path, seed: int) -> Path:
        """`results/EXPERIMENT/DATASET/RUN/seed-N`."""
        return self.folder(results) / f"seed-{seed}"

    @property
    def start(self) -> str | None:
        """Name of the run that this one starts from; None for none."""
        return self.settings.start if isinstance(self.settings, GraphDecoderSettings) else None

    def started_from(self, results: Path, seed: int) -> Path | None:
        """The model of the same seed that training goes on from; None for none."""
        if self.start is None:
            return None
        return replace(self, name=self.start).seed_folder(results, seed) / "model.safetensors"

    def chosen_seed(self, seed: int | None) -> int:
        """`seed`, or the run's first seed for None.

        Raises:
            UserError: the run has no such seed.
        """
        if seed is None:
            return self.seeds[0]
        if seed not in self.seeds:
            raise UserError(f"run {self.name} has no seed {seed}; it has {', '.join(map(str, self.seeds))}")
        return seed


class Experiment:
    """An experiment file that has been read and checked."""

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            UserError: anything in the file, or in the registry entries that it names, does not fit.
        """
        self.path = path
        self.source = read_yaml(path)
        self.settings = validate(ExperimentSettings, self.source)
        self._methods: dict[str, MethodEntry] = {}
        self.runs: dict[tuple[str, str], Run] = {}
        self.registered: dict[str, DatasetSettings] = {}
        problems = ProblemList(f"{path}: the configuration does not fit")
        self._check_datasets(problems)
        for name, entry in self.settings.runs.items():
            self._resolve_run(name, entry, problems)
        self._check_starts(problems)
        self._check_tasks(problems)
        self._check_texts(problems)
        problems.raise_if_any()

    @property
    def name(self) -> str:
        """The experiment's name, that of its folders."""
        return self.settings.experiment

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets of all runs, sorted."""
        return sorted({dataset for dataset, _ in self.runs})

    def run(self, dataset: str, name: str) -> Run:
        """The run `name` on `dataset`.

        Raises:
            UserError: the experiment has no such run.
        """
        if (dataset, name) not in self.runs:
            valid = [f"{run} on {data}" for data, run in self.runs]
            raise UserError(f"{self.path}: no run {name!r} on {dataset!r}{nearest(f'{name} on {dataset}', valid)}")
        return self.runs[dataset, name]

    def method_entry(self, method: str) -> MethodEntry:
        """The registry entry of a method that this experiment uses."""
        return self._methods[method]

    def _check_datasets(self, problems: ProblemList) -> None:
        registered = registered_names()
        for name in self.settings.custom:
            if name in registered:
                problems.add(f"{self.source.where(('custom', name))}: {name} is a public dataset; choose another name")
        for run, entry in self.settings.runs.items():
            for index, name in enumerate(entry.datasets):
                if name in self.settings.custom:
                    continue
                if name not in registered:
                    where = self.source.where(("runs", run, "datasets", index))
                    hint = nearest(name, [*registered, *self.settings.custom])
                    problems.add(f"{where}: unknown dataset {name!r}{hint}")
                elif name not in self.registered:
                    self.registered[name] = load_dataset(name)

    def _resolve_run(self, name: str, entry: RunEntry, problems: ProblemList) -> None:
        location: Location = ("runs", name)
        where = self.source.where((*location, "method"))
        known = sorted({method for method, _ in SETTINGS_OF})
        if entry.method not in known:
            problems.add(f"{where}: unknown method {entry.method!r}{nearest(entry.method, known)}")
            return
        if (entry.method, entry.engine) not in SETTINGS_OF:
            engines = [engine for method, engine in SETTINGS_OF if method == entry.method]
            where = self.source.where((*location, "engine"))
            problems.add(
                f"{where}: {entry.method} is not trained by engine {entry.engine}; it is by {', '.join(engines)}"
            )
            return
        method = self._methods.setdefault(entry.method, load_method(entry.method))
        for dataset in entry.datasets:
            settings = self._merge(name, entry, method, dataset, problems)
            if settings is None:
                continue
            self.runs[dataset, name] = Run(
                experiment=self.settings.experiment,
                dataset=dataset,
                name=name,
                method=entry.method,
                method_label=method.label,
                kind=method.kind,
                engine=entry.engine,
                preset=entry.preset,
                seeds=tuple(self.settings.seeds),
                threads=self.settings.threads,
                device=self.settings.device,
                settings=settings,
                encoder=encoder_name(settings),
                tasks=tuple(entry.tasks),
            )

    def _check_tasks(self, problems: ProblemList) -> None:
        """A task is one that the method can be asked, of a dataset that has it."""
        for run, entry in self.settings.runs.items():
            for index, task in enumerate(entry.tasks):
                where = self.source.where(("runs", run, "tasks", index))
                able = METHODS_OF_TASK[task]
                if entry.method not in able:
                    problems.add(f"{where}: {entry.method} cannot be asked {task}; {', '.join(able)} can")
                for dataset in entry.datasets:
                    registered = self.registered.get(dataset)
                    if registered is None or not (registered.without_task_facts or registered.linking):
                        told = registered is not None and registered.text_tasks
                        why = "tells in its triples what the tasks ask for" if told else "has no text tasks"
                        problems.add(f"{where}: {dataset} {why}; use atlas-tasks or wikidata-disambig")

    def _check_texts(self, problems: ProblemList) -> None:
        """A source of texts that a run names is one of its registered dataset."""
        for (dataset, name), run in self.runs.items():
            asked = getattr(getattr(run.settings, "encoder", None), "texts", None) or getattr(
                run.settings, "texts", None
            )
            valid = self.registered[dataset].text_sources if dataset in self.registered else None
            if asked is None or valid is None or asked in valid:
                continue
            places: list[Location] = [
                ("per_dataset", dataset, "encoder"),
                ("settings", "encoder"),
                ("settings", "texts"),
            ]
            place = next((p for p in places if ("runs", name, *p) in self.source.lines), ())
            where = self.source.where(("runs", name, *place))
            problems.add(f"{where}: run {name}: {dataset} has no source of texts {asked!r}{nearest(asked, valid)}")

    def _check_starts(self, problems: ProblemList) -> None:
        """Each start is a run that can be started from; its text encoder then counts as that of the run."""
        for (dataset, name), run in list(self.runs.items()):
            if not isinstance(run.settings, GraphDecoderSettings) or run.settings.start is None:
                continue
            start = run.settings.start
            others = [other for data, other in self.runs if data == dataset and other != name]
            if start not in others:
                problem = f"start names {start}, which is no other run on {dataset}{nearest(start, others)}"
            else:
                other = self.runs[dataset, start]
                problem = start_problem(run.method, run.settings, other.method, other.settings)
                self.runs[dataset, name] = replace(run, encoder=other.encoder)
            if problem:
                places: list[Location] = [("per_dataset", dataset, "start"), ("settings", "start"), ()]
                place = next(p for p in places if ("runs", name, *p) in self.source.lines)
                where = self.source.where(("runs", name, *place))
                problems.add(f"{where}: run {name} on {dataset}: {problem}")

    def _merge(
        self, name: str, entry: RunEntry, method: MethodEntry, dataset: str, problems: ProblemList
    ) -> MethodSettings | None:
        """Defaults of the method, then the run's settings, then the dataset's; a key of the file keeps its line."""
        merged = YamlSource(self.path, copy.deepcopy(method.settings.get(entry.engine, {})))
        merged.lines[()] = self.source.lines[("runs", name)]
        layers: list[tuple[Location, dict[str, Any]]] = [(("runs", name, "settings"), entry.settings)]
        layers.append((("runs", name, "per_dataset", dataset), entry.per_dataset.get(dataset, {})))
        for place, layer in layers:
            merged.data.update(layer)
            inside = {key[len(place) :]: line for key, line in self.source.lines.items() if key[: len(place)] == place}
            merged.lines.update({key: line for key, line in inside.items() if key})
        prefix = f"run {name} on {dataset}: "
        settings = check(SETTINGS_OF[entry.method, entry.engine], merged, problems, prefix)
        if settings is not None:
            try:
                settings.check_method(entry.method)
            except ValueError as error:
                problems.add(f"{merged.where(())}: {prefix}{error}")
        return settings


def load_method(name: str, folder: Path = METHODS_FOLDER) -> MethodEntry:
    """Read one method's entry.

    Raises:
        UserError: it is missing or does not fit.
    """
    return load_entry(MethodEntry, folder / f"{name}.yaml")
