"""Front ends under torch.compile, torch.export, torch.func and reduced precision."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.plp import PLP
from seqlab.frontend.spectrogram import Spectrogram
from seqlab.lengths import pad_stack

# torch's own remarks, on parts of it that are about to change
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0"),
    pytest.mark.filterwarnings("ignore:.*does not support code generation for complex"),
]

FRONTENDS = {
    "LogMel": LogMel(),
    "LogMel with energy": LogMel(energy="windowed", remove_dc=False, energy_position="last"),
    "LogMel as Whisper": LogMel.from_preset("whisper"),
    "LogMel dithered": LogMel(dither=1.0, edges="zero", compression="db"),
    "MFCC with deltas": MFCC(delta_order=2, edges="mirror"),
    "MFCC as HTK": MFCC.from_preset("htk", delta_order=2),
    "PLP": PLP(),
    "Spectrogram": Spectrogram(power=1.0, edges="reflect", compression="none"),
}
SOME = ["LogMel", "MFCC with deltas", "LogMel as Whisper", "PLP"]


@pytest.fixture(params=list(FRONTENDS))
def frontend(request: pytest.FixtureRequest) -> FramedFrontend:
    return FRONTENDS[request.param]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def by_torch(frontend: FramedFrontend) -> FramedFrontend:
    """The same, but without the compiled kernel."""
    plain = copy.deepcopy(frontend)
    plain.block_frames = 0
    return plain


def assert_equal(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4 * scale)


def check_compiled(frontend: FramedFrontend, backend: str) -> None:
    """Against torch in eager mode, and against the kernel, whose rounding errors differ."""
    torch.compiler.reset()
    traced = torch.compile(frontend, fullgraph=True, dynamic=True, backend=backend)
    for sizes in ([16000, 7000], [12345, 12345, 0]):
        batch, lengths = pad_stack([noise(size, seed=size) for size in sizes], value=torch.nan)
        features, counts = traced(batch, lengths)
        expected, expected_counts = by_torch(frontend)(batch, lengths)
        assert torch.equal(counts, expected_counts)
        assert_equal(features, expected)
        scale = max(1.0, float(expected.abs().max()))
        kernel, _ = frontend(batch, lengths)
        torch.testing.assert_close(features, kernel, rtol=1e-4, atol=1e-3 * scale)


@pytest.mark.parametrize("name", SOME)
def test_traced_in_one_graph_equals_eager(name: str) -> None:
    check_compiled(FRONTENDS[name], "eager")


@pytest.mark.slow
def test_compiled_equals_eager(frontend: FramedFrontend) -> None:
    check_compiled(frontend, "inductor")


@pytest.mark.slow
def test_gradients_of_the_compiled_front_end() -> None:
    frontend, lengths = LogMel(), torch.tensor([4000, 3000])
    grads = []
    for function in (torch.compile(frontend, fullgraph=True), by_torch(frontend)):
        waveform = noise(2, 4000).requires_grad_()
        function(waveform, lengths)[0].sum().backward()
        grads.append(waveform.grad)
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-3 * float(grads[1].abs().max()))


def test_lengths_below_the_padding_give_padding_in_features() -> None:
    torch.compiler.reset()
    traced = torch.compile(LogMel(), fullgraph=True, dynamic=True, backend="eager")
    features, counts = traced(noise(2, 8000), torch.tensor([4000, 2000]))
    expected, _ = by_torch(LogMel())(noise(2, 8000), torch.tensor([4000, 2000]))
    assert features.shape[1] == LogMel().layout.count(8000)
    assert_equal(features[:, : expected.shape[1]], expected)
    assert not features[:, int(counts.max()) :].any()


@pytest.mark.parametrize("name", SOME)
def test_exported_programs_take_other_shapes(name: str) -> None:
    frontend = FRONTENDS[name]
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=3000)
    program = torch.export.export(
        frontend,
        (noise(2, 9000), torch.tensor([9000, 4000])),
        dynamic_shapes={"waveform": {0: batch, 1: samples}, "lengths": {0: batch}},
        prefer_deferred_runtime_asserts_over_guards=True,
    )
    waveform, lengths = noise(3, 12345, seed=1), torch.tensor([12345, 0, 3000])
    features, counts = program.module()(waveform, lengths)
    expected, expected_counts = by_torch(frontend)(waveform, lengths)
    assert torch.equal(counts, expected_counts)
    assert_equal(features, expected)


def test_transforms_of_functions(frontend: FramedFrontend) -> None:
    plain = by_torch(frontend)
    waveforms, lengths = noise(3, 2, 2000), torch.tensor([2000, 1500])

    def total(waveform: Tensor) -> Tensor:
        return frontend(waveform, lengths)[0].square().mean()

    mapped = torch.func.vmap(lambda each: frontend(each, lengths)[0], randomness="same")(waveforms)
    for found, waveform in zip(mapped, waveforms, strict=True):
        assert_equal(found, plain(waveform, lengths)[0])
    both = torch.func.vmap(frontend)(waveforms, lengths.expand(3, 2))
    assert_equal(both[0], mapped)
    found = torch.func.grad(total)(waveforms[0])
    leaf = waveforms[0].clone().requires_grad_()
    plain(leaf, lengths)[0].square().mean().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(found, leaf.grad, rtol=1e-3, atol=1e-4 * float(found.abs().max()))
    _, slope = torch.func.jvp(total, (waveforms[0],), (found,))
    torch.testing.assert_close(slope, found.square().sum(), rtol=1e-3, atol=1e-6)


def test_forward_mode_gradients_are_not_lost() -> None:
    frontend, waveform, lengths = LogMel(), noise(1, 2000), torch.tensor([2000])
    with forward_ad.dual_level():
        features, _ = frontend(forward_ad.make_dual(waveform, waveform), lengths)
        tangent = forward_ad.unpack_dual(features).tangent
    torch.testing.assert_close(tangent, torch.full_like(tangent, 2.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_models_and_waveforms(name: str, kind: torch.dtype) -> None:
    frontend = FRONTENDS[name]
    waveform, lengths = noise(2, 3000).to(kind), torch.tensor([3000, 1234])
    expected, _ = frontend(waveform.float(), lengths)
    model = torch.nn.ModuleList([copy.deepcopy(frontend), torch.nn.Linear(3, 3)]).to(kind)
    features, _ = model[0](waveform, lengths)
    assert features.dtype == torch.float32
    assert torch.equal(features, expected)
    with torch.autocast("cpu", kind):
        assert torch.equal(frontend(waveform, lengths)[0], expected)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda_equals_the_cpu(frontend: FramedFrontend, kind: torch.dtype) -> None:
    batch, lengths = pad_stack([noise(9000), noise(2000, seed=1)], value=torch.nan)
    batch = batch.to(kind)
    there = copy.deepcopy(frontend).cuda()
    expected, _ = by_torch(frontend)(batch, lengths)
    scale = max(1.0, float(expected.abs().max()))
    with torch.autocast("cuda", torch.bfloat16):
        features, counts = there(batch.cuda(), lengths.cuda())
    assert counts.is_cuda
    torch.testing.assert_close(features.cpu(), expected, rtol=1e-4, atol=1e-3 * scale)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_compiled_for_cuda_equals_eager(name: str) -> None:
    torch.compiler.reset()
    there = copy.deepcopy(FRONTENDS[name]).cuda()
    traced = torch.compile(there, fullgraph=True, dynamic=True)
    batch, lengths = pad_stack([noise(9000), noise(2000, seed=1)])
    found, expected = traced(batch.cuda(), lengths.cuda()), there(batch.cuda(), lengths.cuda())
    assert_equal(found[0], expected[0])
