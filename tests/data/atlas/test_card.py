from pathlib import Path

from kelbench.data.atlas.card import page
from kelbench.data.atlas.sources import read_sources


def test_the_data_card_is_up_to_date():
    assert Path("docs/atlas.md").read_text(encoding="utf-8") == page(read_sources()), (
        "run python -m kelbench.data.atlas.card > docs/atlas.md"
    )
