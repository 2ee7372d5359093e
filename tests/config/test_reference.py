"""The configuration page says what the settings classes say."""

from pathlib import Path

from kelbench.config.reference import page


def test_the_page_is_up_to_date():
    assert Path("docs/configuration.md").read_text() == page(), (
        "run python -m kelbench.config.reference > docs/configuration.md"
    )


def test_every_key_of_an_experiment_is_explained():
    from kelbench.config.methods import KnowledgeEmbeddingSettings

    for name in KnowledgeEmbeddingSettings.model_fields:
        assert f"| `{name}` |" in page()
