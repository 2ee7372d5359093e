"""Train one text model: encoder, texts, loop, validation, and what the report is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kelbench.base.errors import UserError
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.conditioned import ENCODER_FOLDER, ConditionedTables, graph_texts, texts_of_relations
from kelbench.encoders.graph_texts import GraphTexts
from kelbench.encoders.tables import EmbeddingTables
from kelbench.encoders.text_encoder import make_encoder
from kelbench.encoders.text_model import TextModel, score_of
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.transformer import Transformer
from kelbench.methods.kepler.masking import corpus_of
from kelbench.methods.kepler.training import TextTraining
from kelbench.ranking.metrics import VALIDATION_METRICS
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import VECTORS_FILE, TrainedModel, TrainingJob
from kelbench.training.loop import Schedule, run_epochs
from kelbench.training.processes import Processes
from kelbench.training.randomness import generator


def train(job: TrainingJob) -> TrainedModel:
    """Train one text model.

    Raises:
        UserError: texts or a checkpoint are missing, or training diverged.
    """
    settings = job.settings
    if not isinstance(settings, TextKnowledgeEmbeddingSettings):
        raise TypeError(f"expected TextKnowledgeEmbeddingSettings, got {type(settings).__name__}")
    processes = Processes.joined(job.device)
    model, texts = initial_model(job.dataset, settings, job.seed)
    model = model.to(job.device)
    triples = job.dataset.triples("train")
    start, stop = job.dataset.spaces["train"]
    corpus = _corpus(settings, model, texts, np.arange(start, stop))
    training = TextTraining(model, texts, triples, stop - start, corpus, job.seed, processes)
    ranker = validation_ranker(job.dataset)
    file = job.folder / VECTORS_FILE
    course = run_epochs(
        training,
        triples,
        Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
        validate=lambda: processes.told_by_first(
            VALIDATION_METRICS, lambda: ranker.metrics(predictor(model, texts, file))
        ),
        checkpoint=job.folder / "checkpoint.pt",
        key=job.key(__name__, _read_in_training(job, settings)),
        processes=processes,
    )
    tables = None
    if processes.rank == 0:
        model.save(job.folder / ENCODER_FOLDER)
        tables = predictor(model, texts, file)
    facts = course.facts() | {
        "computes": None,
        "parameters": sum(tensor.numel() for tensor in training.weights().values()),
        "encoder": settings.encoder.kind,
        "texts": texts.num_texts,
        "processes": processes.count,
    }
    if corpus is not None and isinstance(model.encoder, Transformer) and model.encoder.head_is_new:
        losses = training.warmup_losses
        facts["output_layer"] = "made here, tied to the embeddings, " + (
            f"trained alone for {len(losses)} steps: loss {losses[0]:.3f} to {losses[-1]:.3f}"
            if losses
            else "without a warm-up"
        )
    return TrainedModel(tables, course.curve, course.timing, facts)


def initial_model(
    dataset: PreparedDataset, settings: TextKnowledgeEmbeddingSettings, seed: int
) -> tuple[TextModel, GraphTexts]:
    """The model before training, and the dataset's texts as its tokenizer sees them.

    Raises:
        UserError: texts or a checkpoint are missing.
    """
    start, stop = dataset.spaces["train"]
    training_texts = dataset.texts_or_first(settings.encoder.texts)[start:stop]
    if not any(text.strip() for text in training_texts):
        raise UserError(
            f"{dataset.name}: no entity of the training graph has a text; do the files of texts name the same entities?"
        )
    relation_texts = texts_of_relations(dataset, settings)
    encoder = make_encoder(settings.encoder, training_texts + relation_texts, generator(seed, "encoder"))
    model = TextModel(encoder, settings, dataset.num_relations, generator(seed, "relations"))
    return model.eval(), graph_texts(dataset, model, settings)


def predictor(model: TextModel, texts: GraphTexts, file: Path) -> EmbeddingTables | ConditionedTables:
    """The model as the ranker wants it; `file` may take the entities' vectors where they are many."""
    function, similarity = score_of(model.settings)
    device = str(next(model.parameters()).device)
    tables = EmbeddingTables(
        function, similarity, model.entity_vectors(texts, file), model.relation_vectors(texts), reciprocal=False
    ).to(device)
    return ConditionedTables(tables, model, texts) if model.settings.conditioned else tables


def _corpus(
    settings: TextKnowledgeEmbeddingSettings, model: TextModel, texts: GraphTexts, entities: np.ndarray
) -> Tokens | None:
    if settings.masked_language_modelling is None or not isinstance(model.encoder, Transformer):
        return None
    return corpus_of(
        settings.masked_language_modelling, model.encoder.tokenizer, texts, entities, settings.encoder.max_tokens
    )


def _read_in_training(job: TrainingJob, settings: TextKnowledgeEmbeddingSettings) -> list[Path]:
    """The files that the weights and their selection depend on."""
    names = ("train/triples.npy", "valid/triples.npy", "train/entities.tsv", "valid/entities.tsv", "relations.tsv")
    # A transductive dataset has no entities of validation alone.
    files = [path for path in (job.dataset.folder / name for name in names) if path.is_file()]
    language = settings.masked_language_modelling
    return files + ([language.file] if language is not None and language.file is not None else [])
