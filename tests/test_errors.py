"""An error is one sentence on one line, whatever it quotes."""

import pytest

from thyro_demo.errors import DataError


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\tb", "a\x00b"])
def test_what_an_error_quotes_breaks_no_line(name):
    message = str(DataError(f"A name must be plain. Received: {name}."))
    assert len(message.splitlines()) == 1
    assert message.isprintable()


def test_the_words_of_any_language_stay_as_they_are():
    words = "Ein Maß muß “größer” als 0\u00a0mm sein – 名前. Received: é."
    assert str(DataError(words)) == words
