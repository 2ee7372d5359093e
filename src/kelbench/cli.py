"""The command line: a verb for each step of the DAG, each usable by hand. Only arguments are handled here."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kelbench import __version__
from kelbench.base.errors import UserError
from kelbench.base.log import start_logging

QUICK = Path("config/quick.yaml")
DATA = Path("data/prepared")
RESULTS = Path("results")

_path = functools.partial(click.Path, path_type=Path)
config_option = click.option("--config", type=_path(), default=QUICK, show_default=True, help="The experiment file.")
prepared_option = click.option(
    "--prepared", type=_path(), default=DATA, show_default=True, help="Folder of prepared datasets."
)
results_option = click.option("--results", type=_path(), default=RESULTS, show_default=True, help="Folder of results.")
threads_option = click.option("--threads", type=click.IntRange(1), required=True, help="Threads this process may use.")
dataset_option = click.option("--dataset", required=True, help="Name of the dataset.")
run_option = click.option("--run", "run_name", required=True, help="A run of the experiment file, `complex` say.")
seed_option = click.option("--seed", type=int, help="Which of the run's seeds; the first one unless told.")


class Commands(click.Group):
    """Suggests the nearest verb for a mistyped one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb, or say which one was probably meant."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from kelbench.base.errors import nearest

            ctx.fail(f"no such command {args[0]!r}{nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands)
@click.version_option(__version__)
def commands() -> None:
    """Exact, reproducible benchmarks of knowledge embedding methods.

    The steps of the workflow, in order: fetch, prepare, audit, train, evaluate, leaderboard, report.
    `snakemake --cores N` runs them all.
    """


def main() -> None:
    """Entry point: a mistake of the user ends with its message and exit code 2, never with a traceback."""
    start_logging()
    try:
        commands(standalone_mode=False)
    except UserError as error:
        click.echo(f"kelbench: {error}", err=True)
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)


def _verb(function: Callable[..., None]) -> click.Command:
    return commands.command(function.__name__.removesuffix("_").replace("_", "-"))(function)


@_verb
@click.argument("config", type=_path(), default=QUICK)
def check_config(config: Path) -> None:
    """Check an experiment file and list the runs that it resolves to."""
    from kelbench.config.experiment import Experiment

    experiment = Experiment(config)
    for (dataset, name), run in sorted(experiment.runs.items()):
        click.echo(f"{dataset}\t{name}\t{run.method_label}\t{run.engine}\t{run.preset}\t{len(run.seeds)} seeds")
    click.echo(f"{config}: fine; {len(experiment.runs)} runs on {len(experiment.datasets)} datasets")


@_verb
@config_option
@click.option("--gpu", default="A100", show_default=True, help="V100, V100-16GB, A100, A100-40GB, H100 or H200.")
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs that train one run together.")
def estimate(config: Path, gpu: str, gpus: int) -> None:
    """Print what the runs of text methods would cost: FLOPs, memory and hours. Nothing is run."""
    from kelbench.config.experiment import Experiment
    from kelbench.methods.cost.table import cost_table

    click.echo(cost_table(Experiment(config), gpu, gpus))


@_verb
@click.argument("datasets", nargs=-1)
@click.option("--receipt", type=_path(), help="Where to note what was fetched and verified (one dataset).")
@click.option("--to", "folder", type=_path(), help="Make a mirror: put the files of the datasets into this folder.")
def fetch(datasets: tuple[str, ...], receipt: Path | None, folder: Path | None) -> None:
    """Fetch and verify the files of datasets: from the cache, from KELBENCH_MIRROR, or from their URLs.

    Without names, --to fetches every dataset of the registry, and the files of every corpus.
    """
    from kelbench.config.corpora import load_corpus, registered_corpora
    from kelbench.config.datasets import load_dataset, registered_names
    from kelbench.data.fetch import fetch_dataset, mirror_datasets, mirror_files

    if folder is not None:
        mirror_datasets([load_dataset(name) for name in datasets or registered_names()], folder)
        if not datasets:
            mirror_files([file for name in registered_corpora() for file in load_corpus(name).files], folder)
        return
    if not datasets:
        raise click.UsageError("name a dataset, or give --to FOLDER to fetch them all")
    if receipt is not None and len(datasets) > 1:
        raise click.UsageError("--receipt goes with one dataset")
    for name in datasets:
        fetch_dataset(load_dataset(name), receipt or Path("data/fetched") / f"{name}.json")


@_verb
@click.argument("name")
@click.option("--out", type=_path(), help="File to write; data/corpus/NAME.txt unless told.")
def corpus(name: str, out: Path | None) -> None:
    """Fetch and make a corpus of prose for masked language modelling, a text a line."""
    from kelbench.config.corpora import MADE_FOLDER, load_corpus
    from kelbench.data.corpus import make_corpus

    make_corpus(load_corpus(name), out or MADE_FOLDER / f"{name}.txt")


@_verb
@click.argument("dataset")
@click.option("--config", type=_path(), help="The experiment file, for a graph of your own.")
@click.option("--out", type=_path(), help="Folder to write; data/prepared/DATASET unless told.")
def prepare(dataset: str, config: Path | None, out: Path | None) -> None:
    """Turn fetched files into arrays, id maps and a manifest, and assert the published counts."""
    from kelbench.config.datasets import load_dataset
    from kelbench.data.prepare import prepare_custom, prepare_dataset

    folder = out or DATA / dataset
    custom = _custom(config, dataset)
    if custom is None:
        prepare_dataset(load_dataset(dataset), folder)
    else:
        prepare_custom(dataset, custom[0], custom[1], folder)


@_verb
@click.argument("dataset")
@prepared_option
def audit(dataset: str, prepared: Path) -> None:
    """Look for duplicates, leakage and unseen entities; write audit.json beside the manifest."""
    from kelbench.data.audits import audit_dataset

    audit_dataset(prepared / dataset)


@_verb
@click.argument("dataset")
@click.option("--sample", type=click.IntRange(1), default=5, show_default=True, help="How many entities.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which entities.")
@click.option("--texts", help="Source of the texts; the dataset's first unless told.")
@prepared_option
def show(dataset: str, sample: int, seed: int, texts: str | None, prepared: Path) -> None:
    """Print random entities of a prepared dataset with their texts and triples."""
    from kelbench.data.show import sample_entities

    click.echo(sample_entities(prepared / dataset, sample, seed, texts))


@_verb
@config_option
@dataset_option
@run_option
@threads_option
@prepared_option
@results_option
def train(config: Path, dataset: str, run_name: str, threads: int, prepared: Path, results: Path) -> None:
    """Train every seed of one run on one dataset."""
    from kelbench.methods.run import train_run

    train_run(_run(config, dataset, run_name), prepared, results, threads)


@_verb
@config_option
@dataset_option
@run_option
@threads_option
@prepared_option
@results_option
def evaluate(config: Path, dataset: str, run_name: str, threads: int, prepared: Path, results: Path) -> None:
    """Rank validation and test triples with every seed of one run; write ranks and metrics."""
    from kelbench.methods.run import evaluate_run

    evaluate_run(_run(config, dataset, run_name), prepared, results, threads)


@_verb
@config_option
@dataset_option
@run_option
@click.option("--task", "task_name", required=True, help="A text task of the dataset: entity_linking.")
@threads_option
@prepared_option
@results_option
def task(
    config: Path, dataset: str, run_name: str, task_name: str, threads: int, prepared: Path, results: Path
) -> None:
    """Test every seed of one run on a text task; write what it predicts and what that amounts to."""
    from kelbench.methods.text_tasks import run_task

    run_task(_run(config, dataset, run_name), task_name, prepared, results, threads)


@_verb
@config_option
@click.option("--out", type=_path(), help="File to write; results/EXPERIMENT/leaderboard.json unless told.")
def leaderboard(config: Path, out: Path | None) -> None:
    """Gather the metrics of all runs into rows with intervals, published numbers and verdicts."""
    from kelbench.config.experiment import Experiment
    from kelbench.leaderboard.build import build_leaderboard

    experiment = Experiment(config)
    build_leaderboard(experiment, out or RESULTS / experiment.name / "leaderboard.json")


@_verb
@config_option
@click.option("--out", type=_path(), help="Folder to write; reports/EXPERIMENT unless told.")
def report(config: Path, out: Path | None) -> None:
    """Render the leaderboard to one offline HTML file and to CSV, Markdown, LaTeX and JSON."""
    from kelbench.config.experiment import Experiment
    from kelbench.report.render import render_report

    experiment = Experiment(config)
    folder = out or Path("reports") / experiment.name
    page = render_report(experiment, RESULTS / experiment.name / "leaderboard.json", folder)
    click.echo(f"report: {page}")


@_verb
@config_option
@dataset_option
@run_option
@seed_option
@click.option("--head", help="Label of the head; asks for tails.")
@click.option("--relation", required=True, help="Label of the relation.")
@click.option("--tail", help="Label of the tail; asks for heads.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many answers to print.")
@prepared_option
@results_option
def predict(
    config: Path,
    dataset: str,
    run_name: str,
    seed: int | None,
    head: str | None,
    relation: str,
    tail: str | None,
    top: int,
    prepared: Path,
    results: Path,
) -> None:
    """Ask a trained model for the best tails of (head, relation, ?) or heads of (?, relation, tail)."""
    from kelbench.methods.predict import predict_table

    if (head is None) == (tail is None):
        raise click.UsageError("give --head to ask for tails, or --tail to ask for heads")
    run = _run(config, dataset, run_name)
    click.echo(predict_table(run, seed, prepared, results, head, relation, tail, top))


@_verb
@config_option
@dataset_option
@run_option
@seed_option
@click.option("--out", type=_path(), required=True, help="Folder to write.")
@prepared_option
@results_option
def export(
    config: Path, dataset: str, run_name: str, seed: int | None, out: Path, prepared: Path, results: Path
) -> None:
    """Write a model's embeddings with their labels, as safetensors and as TSV."""
    from kelbench.methods.export import export_embeddings

    for path in export_embeddings(_run(config, dataset, run_name), seed, prepared, results, out):
        click.echo(path)


def _run(config: Path, dataset: str, name: str) -> Any:
    from kelbench.config.experiment import Experiment

    return Experiment(config).run(dataset, name)


def _custom(config: Path | None, name: str) -> Any:
    """The user's own graph `name` of an experiment file and that file's folder; None for a public dataset."""
    if config is None:
        return None
    from kelbench.config.experiment import Experiment

    custom = Experiment(config).settings.custom.get(name)
    return None if custom is None else (custom, config.parent)


if __name__ == "__main__":
    main()
