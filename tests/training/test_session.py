"""What a job settles before it trains."""

from types import SimpleNamespace

import pytest

from kelbench.training import session


@pytest.mark.parametrize(("settings", "few"), [({"decoder": "conve"}, 1), ({"decoder": "distmult"}, 0), ({}, 0)])
def test_only_models_whose_products_change_size_keep_few(monkeypatch, settings, few):
    called = []
    monkeypatch.setattr(session, "keep_few_products", lambda: called.append("few"))
    monkeypatch.setattr(session, "keep_freed_memory", lambda: called.append("freed"))
    # What is settled for a whole process stays as it is for the other tests.
    monkeypatch.setattr(session, "set_threads", lambda threads: None)
    monkeypatch.setattr(session.torch, "use_deterministic_algorithms", lambda on: None)
    monkeypatch.setattr(session.torch.utils.deterministic, "fill_uninitialized_memory", True)
    session.start_session(SimpleNamespace(threads=1, device="cpu", settings=SimpleNamespace(**settings)), 1)
    assert called == ["freed"] + ["few"] * few
