"""A session remembers what a visitor needs, and no copy of the page beside it."""

from gradio.state_holder import SessionState
from gradio_client import Client

from thyro_demo.ui.build import build_ui


def test_a_session_finds_all_components_and_describes_none(engine, examples):
    app = build_ui(engine, examples)
    session = SessionState(app)
    assert set(session.blocks_config.blocks) == set(app.blocks)
    assert not any(session.config_values.values())
    key = next(iter(app.blocks))
    session._update_value_in_config(key, "what was shown")
    session._update_config(key)
    assert "what was shown" not in str(session.config_values)


def test_the_page_itself_is_described_in_full(engine, examples):
    app = build_ui(engine, examples)
    described = app.get_config_file()["components"]
    assert len(described) == len(app.blocks)
    assert all("props" in component for component in described)


def test_a_visitor_is_answered_as_before(served):
    answers = [Client(served[0], verbose=False).predict({}, api_name="/play") for _ in range(2)]
    assert answers[0]["points"] == answers[1]["points"]
