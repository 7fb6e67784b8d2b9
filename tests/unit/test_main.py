"""What the command line refuses before any verb begins."""

import pytest

from f2llm.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["estimate", "--tflops", "0"], "--tflops: '0' is no number above 0"),
        (["estimate", "--tflops=-3"], "--tflops: '-3' is no number above 0"),
        (["estimate", "--tflops", "nan"], "--tflops: 'nan' is no number above 0"),
        (["estimate", "--efficiency", "0"], "--efficiency: '0' is no number above 0"),
        (["estimate", "--efficiency", "45"], "--efficiency: '45' is above 1, a share is not"),
        (["status", "--every=-1"], "--every: '-1' is no number above 0"),
        (["status", "--every", "often"], "--every: 'often' is no number above 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(capsys, arguments, what):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert what in capsys.readouterr().err
