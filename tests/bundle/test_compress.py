"""Shorter mantissas are the nearest ones, and vectors keep theirs."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thyro_demo.bundle.compress import BITS, shorten, shortened

several = pytest.mark.parametrize("bits", [1, 7, 22])


def mantissas(values):
    return np.asarray(values, np.float32).view(np.uint32) & np.uint32(2**23 - 1)


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(-40, 40, 4000))
    return (rng.choice([-1, 1], 4000) * sizes).astype(np.float32).reshape(40, 100)


@several
def test_no_more_bits_are_left_than_were_asked_for(bits, numbers):
    short = shortened(numbers, bits)
    assert (short.shape, short.dtype) == (numbers.shape, np.float32)
    dropped = np.uint32(2 ** (23 - bits) - 1)
    assert not (mantissas(short) & dropped).any()
    # The last bit that is kept is used.
    assert (mantissas(short) & (dropped + np.uint32(1))).any()


@several
def test_each_number_stays_within_half_a_bit_of_itself(bits, numbers):
    moved = np.abs(shortened(numbers, bits).astype(float) - numbers) / np.abs(numbers)
    # The bound is met by some: bits are rounded, not cut, and no more of them than need be.
    assert 0.4 * 2.0 ** -(bits + 1) < moved.max() <= 2.0 ** -(bits + 1)


@several
def test_short_numbers_are_not_shortened_again(bits, numbers):
    short = shortened(numbers, bits)
    np.testing.assert_array_equal(shortened(short, bits), short)


@given(st.integers(0, 127), st.booleans())
def test_a_tie_goes_to_the_even_neighbour(last, negative):
    """Half-way between two neighbours of 7 bits, the one whose last bit is 0 is taken."""
    sign = -1 if negative else 1
    tie = np.array([sign * (1 + (last + 0.5) / 128)], np.float32)
    even = last if last % 2 == 0 else last + 1
    np.testing.assert_array_equal(shortened(tie, 7), [sign * (1 + even / 128)])


def test_zeros_stay_zeros():
    np.testing.assert_array_equal(shortened(np.zeros((2, 3), np.float32)), 0.0)


def test_kernels_are_shortened_and_vectors_stay_exact(small):
    network = small()
    rng = np.random.default_rng(1)
    network.set_weights([rng.normal(1, 0.2, w.shape).astype(w.dtype) for w in network.weights])
    before = [variable.numpy() for variable in network.variables]
    shorten(network)
    kinds = set()
    for variable, exact in zip(network.variables, before, strict=True):
        kernel = exact.ndim > 1
        kinds.add(kernel)
        expected = shortened(exact, BITS) if kernel else exact
        np.testing.assert_array_equal(variable.numpy(), expected)
        assert kernel == (variable.numpy() != exact).any()
    assert kinds == {True, False}
    assert all(isinstance(v, keras.Variable) and v.dtype == "float32" for v in network.weights)
