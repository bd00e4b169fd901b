"""A session remembers what a visitor needs, and no copy of the page beside it."""

import asyncio
import datetime

import pytest
from gradio.components import State
from gradio.state_holder import SessionState, StateHolder
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


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize(("minutes", "kept"), [(9, True), (11, False)])
def test_a_comparison_is_kept_for_ten_minutes_whether_its_page_is_open_or_closed(
    engine, examples, closed, minutes, kept
):
    app = build_ui(engine, examples)
    holder = StateHolder()
    holder.set_blocks(app)
    session = holder["visitor"]
    comparing = next(
        one
        for one in app.fns.values()
        if one.name == "compare" and any(isinstance(each, State) for each in one.outputs)
    )
    asyncio.run(app.preprocess_data(comparing, [None, [], None], session))
    (shown,) = [one._id for one in comparing.outputs if isinstance(one, State)]
    session[shown] = "a frame"
    session.is_closed = closed
    lives, since = session._state_ttl[shown]
    session._state_ttl[shown] = lives, since - datetime.timedelta(minutes=minutes)
    holder.delete_all_expired_state()
    assert (shown in session) == kept
