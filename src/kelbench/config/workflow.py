"""What the Snakefile asks of an experiment: its paths, the inputs of its jobs, and what makes a job run again.

Wildcards are Snakemake's, with the attributes that a rule's output has. Paths are relative to the working directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kelbench.base.code_digest import code_digest
from kelbench.base.errors import UserError
from kelbench.base.files import digest_of
from kelbench.config.claims import CLAIMS_FOLDER
from kelbench.config.corpora import load_corpus, registered_corpora
from kelbench.config.datasets import CustomDataset
from kelbench.config.experiment import METHODS_FOLDER, Experiment, Run
from kelbench.config.methods import METHODS_OF_TASK, MODULE_OF

DEFAULT_CONFIG = Path("config/quick.yaml")

# Verb -> modules that it runs. Training adds the module of its method.
MODULES_OF_VERB = {
    "fetch": ("kelbench.data.fetch",),
    "corpus": ("kelbench.data.corpus",),
    "prepare": ("kelbench.data.prepare",),
    "audit": ("kelbench.data.audits",),
    "train": ("kelbench.methods.run",),
    "evaluate": ("kelbench.methods.run",),
    "task": ("kelbench.methods.text_tasks",),
    "leaderboard": ("kelbench.leaderboard.build",),
    "report": ("kelbench.report.render",),
}

_SOURCES_OF_ATLAS = Path(__file__).parents[1] / "data/atlas/sources"

PREPARED_FILES = (
    "manifest.json",
    "relations.tsv",
    "train/entities.tsv",
    "train/triples.npy",
    "valid/triples.npy",
    "valid/support.npy",
    "valid/known.npy",
    "test/triples.npy",
    "test/support.npy",
    "test/known.npy",
)
# Training must not be able to see what it is tested on: of the test split it is given the support graph, nothing else.
HIDDEN_FROM_TRAINING = ("test/triples.npy", "test/known.npy")
EXPORTS = ("index.html", "leaderboard.csv", "leaderboard.md", "leaderboard.tex", "leaderboard.json")


class Plan:
    """One experiment, as the rules see it."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.file = str(experiment.path)
        self.name = experiment.name
        self.datasets = experiment.datasets
        self.corpora = registered_corpora()
        self.runs = sorted({name for _, name in experiment.runs})
        self.tasks = sorted(METHODS_OF_TASK)
        self.threads = experiment.settings.threads
        self.memory_mib = experiment.settings.memory_mib
        self.minutes = experiment.settings.minutes
        self.logs = f"logs/{self.name}"
        self.leaderboard = f"results/{self.name}/leaderboard.json"
        self.reports = [f"reports/{self.name}/{file}" for file in EXPORTS]

    # ---- datasets

    def prepared(self, dataset: str) -> list[str]:
        """Every file of a prepared dataset that a job may take; `dataset` may be a pattern."""
        return [f"data/prepared/{dataset}/{file}" for file in PREPARED_FILES]

    def prepared_datasets(self) -> list[str]:
        """The manifest and the audit of each dataset of the experiment."""
        return [f"data/prepared/{name}/{file}" for name in self.datasets for file in ("manifest.json", "audit.json")]

    def sources_of(self, wildcards: Any) -> list[str]:
        """What a dataset is prepared from: its fetched files' receipt, kelbench's own sources, or the user's files."""
        custom = self._custom(wildcards.dataset)
        if custom is None and self.experiment.registered[wildcards.dataset].built is not None:
            return sorted(str(_relative(path)) for path in _SOURCES_OF_ATLAS.rglob("*.tsv"))
        if custom is None:
            return [f"data/fetched/{wildcards.dataset}.json"]
        files = (custom.triples, custom.train, custom.valid, custom.test, custom.entity_texts, custom.relation_texts)
        return [str(self.experiment.path.parent / file) for file in files if file is not None]

    def config_option(self, wildcards: Any) -> str:
        """``--config FILE`` for a graph of the user's own; nothing for a public dataset, which experiments share."""
        return f"--config {self.file}" if self._custom(wildcards.dataset) is not None else ""

    def dataset_digest(self, wildcards: Any) -> str:
        """Digest of all that the configuration says of a dataset."""
        settings = self._custom(wildcards.dataset) or self.experiment.registered[wildcards.dataset]
        return digest_of(settings.model_dump(mode="json"))

    def files_digest(self, wildcards: Any) -> str:
        """Digest of the list of files that a public dataset is fetched as."""
        return digest_of([file.model_dump(mode="json") for file in self.experiment.registered[wildcards.dataset].files])

    def corpus_digest(self, wildcards: Any) -> str:
        """Digest of what decides the lines of a corpus; its title and notes do not."""
        return digest_of(load_corpus(wildcards.corpus).model_dump(mode="json", include={"files", "texts", "sha256"}))

    def _custom(self, dataset: str) -> CustomDataset | None:
        return self.experiment.settings.custom.get(dataset)

    # ---- runs

    def training_files(self, wildcards: Any) -> list[str]:
        """The files of a prepared dataset that training may read, and what else a run learns from.

        That is prose, for language; and the models of another run, seed by seed, for a run that starts from it.
        """
        run = self._run(wildcards)
        settings = run.settings
        names = [name for name in PREPARED_FILES if name not in HIDDEN_FROM_TRAINING]
        files = [f"data/prepared/{wildcards.dataset}/{name}" for name in names]
        modelling = getattr(settings, "masked_language_modelling", None)
        if modelling is not None and modelling.file is not None:
            files.append(str(_relative(modelling.file)))
        if run.start is not None:
            files += self._of_each_seed(run.dataset, run.start, ["model.safetensors"])
        return files

    def of_each_seed(self, *files: str) -> list[str]:
        """Patterns of `files` of every seed, with the wildcards dataset and run."""
        return self._of_each_seed("{dataset}", "{run}", files)

    def of_each_run(self, *files: str) -> list[str]:
        """Paths of `files` of every seed of every run."""
        return [
            path for dataset, run in sorted(self.experiment.runs) for path in self._of_each_seed(dataset, run, files)
        ]

    def of_each_task(self) -> list[str]:
        """What every run left of every text task that it is tested on."""
        return [
            path
            for (dataset, name), run in sorted(self.experiment.runs.items())
            for task in run.tasks
            for path in self._of_each_seed(dataset, name, (f"{task}.json", f"{task}.npz"))
        ]

    def task_code(self, wildcards: Any) -> str:
        """Digest of the code that tests a run on a text task, its method's module among it."""
        run = self._run(wildcards)
        return code_digest(*MODULES_OF_VERB["task"], f"{MODULE_OF[run.method, run.engine]}.linking")

    def settings_digest(self, wildcards: Any) -> str:
        """Digest of the settings that decide the weights of a run."""
        return self._run(wildcards).digest()

    def seeds(self, wildcards: Any) -> list[int]:
        """The seeds of a run."""
        return list(self._run(wildcards).seeds)

    def _of_each_seed(self, dataset: str, run: str, files: Sequence[str]) -> list[str]:
        folder = f"results/{self.name}/{dataset}/{run}"
        return [f"{folder}/seed-{seed}/{file}" for seed in self.experiment.settings.seeds for file in files]

    def _run(self, wildcards: Any) -> Run:
        return self.experiment.run(wildcards.dataset, wildcards.run)

    # ---- the whole

    def claims(self) -> list[str]:
        """The files of published numbers."""
        return sorted(str(path) for path in CLAIMS_FOLDER.glob("*.yaml"))

    def methods(self) -> list[str]:
        """The registry entries of the methods that run."""
        return [
            f"{METHODS_FOLDER}/{name}.yaml" for name in sorted({run.method for run in self.experiment.runs.values()})
        ]

    def digest(self) -> str:
        """Digest of the resolved experiment: what leaderboard and report take from the configuration."""
        runs = [
            [run.name, run.method_label, run.kind, run.preset, list(run.seeds), run.resolved()]
            for _, run in sorted(self.experiment.runs.items())
        ]
        return digest_of({"name": self.name, "title": self.experiment.settings.title, "runs": runs})

    def code(self, verb: str) -> str:
        """Digest of the code that a verb runs."""
        return code_digest(*MODULES_OF_VERB[verb])

    def training_code(self, wildcards: Any) -> str:
        """Digest of the code that trains a run, its method's module among it."""
        run = self._run(wildcards)
        return code_digest(*MODULES_OF_VERB["train"], MODULE_OF[run.method, run.engine])


def load_plan(configfiles: Sequence[str | Path], config: Mapping[str, Any]) -> Plan:
    """The plan of the experiment that Snakemake was given.

    Args:
        configfiles: values of ``--configfile``; none means config/quick.yaml.
        config: values of ``--config``, which are refused, as the file alone says what an experiment is.

    Raises:
        UserError: more than one file, a ``--config`` value, or anything in the file that does not fit.
    """
    if config:
        raise UserError(
            f"--config {' '.join(config)}: settings are read from the experiment file alone; "
            "copy the file, change it there, and give it with --configfile"
        )
    if len(configfiles) > 1:
        files = " ".join(str(path) for path in configfiles)
        raise UserError(f"--configfile {files}: expected one experiment file, found {len(configfiles)}")
    return Plan(Experiment(_relative(Path(configfiles[0])) if configfiles else DEFAULT_CONFIG))


def plan_or_exit(configfiles: Sequence[str | Path], config: Mapping[str, Any]) -> Plan:
    """`load_plan` for the Snakefile: a mistake of the user ends Snakemake with its text and exit code 2.

    SystemExit passes Snakemake's own handling of exceptions, which would add a traceback and exit with 1.
    """
    _prepend_own_commands()
    try:
        return load_plan(configfiles, config)
    except UserError as error:
        print(f"kelbench: {error}", file=sys.stderr)
        sys.exit(2)


def _relative(path: Path) -> Path:
    """`path` from the working directory where it lies below it: Snakemake makes paths absolute, messages need not."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _prepend_own_commands() -> None:
    """Let jobs find the `kelbench` command of the environment that Snakemake runs in, activated or not."""
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])
