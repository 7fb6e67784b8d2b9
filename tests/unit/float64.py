"""Training in float64, in which what is left of rounding is far below what a test asks for, whatever the processor.

Another number of chunks or processes is another order of sums. In float32 that moves a loss by up to some 1e-6 of
itself (cosines are divided by the temperature), and a weight by anything up to the learning rate: AdamW's first step is
the sign of the gradient, also of one that is all rounding. In float64 the same sums differ by less than 1e-12, and
what AdamW makes of that by less than 1e-9 (a gradient's rounding, 1e-17, over its epsilon, 1e-8).
Run as a script this is `python -m f2llm.train`, in float64.
"""

import sys

import torch
from torch.overrides import TorchFunctionMode

RELATIVE = 1e-9


class Float64(TorchFunctionMode):
    """What would be rounded to float32 keeps 64 bits: vectors, norms, angles of positions, attention, losses."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        if func in (torch.Tensor.to, torch.nn.functional.softmax):
            args = tuple(torch.float64 if value is torch.float32 else value for value in args)
            kwargs = {key: torch.float64 if value is torch.float32 else value for key, value in kwargs.items()}
        return func(*args, **kwargs)


def assert_same(found, expected, *, relative=RELATIVE, what=""):
    """Check that the difference of two tensors is small beside the second one."""
    assert found.dtype == expected.dtype == torch.float64, what
    assert (found - expected).norm() <= relative * expected.norm(), what


if __name__ == "__main__":
    from f2llm.train import trainable
    from f2llm.train.__main__ import main

    load = trainable.load_packed
    trainable.load_packed = lambda folder: load(folder).double()
    with Float64():
        sys.exit(main())
