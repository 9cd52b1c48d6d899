"""Vectors for compiled loops: one lane for each of several frames.

numba compiles scalar loops and leaves it to LLVM to find vectors in them, which fails for the
butterflies of an FFT. So this adds two types to numba, vectors of ``DOUBLES`` float64 and of
``SINGLES`` float32 numbers, with loads, stores and arithmetic; LLVM maps them to whatever
registers the machine has. Every lane goes through the same operations, so that a frame's result
does not depend on its lane or neighbours.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model
from numba.np import arrayobj


def _doubles() -> int:
    """One AVX-512 register, or one register of four or two of two numbers on other machines."""
    try:
        features = llvmlite.binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this machine
        return 4
    return 8 if features.get("avx512f") else 4


DOUBLES = _doubles()
SINGLES = 2 * DOUBLES
_INDEX = ir.IntType(32)
_FUSED = ("contract",)  # a product and a sum may round once
_NUMBERS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


class VectorType(types.Type):  # type: ignore[misc]
    """The type of a vector of float32 or float64 numbers in compiled code."""

    def __init__(self, number: Any) -> None:
        self.number = number
        self.lanes = SINGLES if number == types.float32 else DOUBLES
        super().__init__(name=f"vector_of_{self.lanes}_{number}")

    @property
    def layout(self) -> Any:
        """The type as LLVM has it."""
        return ir.VectorType(_NUMBERS[self.number], self.lanes)


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.layout)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any, lanes: int) -> Any:
    data = arrayobj.make_array(kind)(context, builder, array).data
    layout = ir.VectorType(_NUMBERS[kind.dtype], lanes)
    return builder.bitcast(builder.gep(data, [index]), layout.as_pointer())


def _read(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: VectorType) -> Any:
    """``vector.lanes`` numbers from ``array[index]`` on, brought to the type of ``vector``."""
    address = _address(context, builder, kind, array, index, vector.lanes)
    value = builder.load(address, align=kind.dtype.bitwidth // 8)
    return value if kind.dtype == vector.number else builder.fpext(value, vector.layout)


def _write(
    context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: VectorType, value: Any
) -> None:
    """``value``, brought to the type of the array, to ``array[index]`` and what follows."""
    if kind.dtype != vector.number:
        value = builder.fptrunc(value, ir.VectorType(_NUMBERS[kind.dtype], vector.lanes))
    address = _address(context, builder, kind, array, index, vector.lanes)
    builder.store(value, address, align=kind.dtype.bitwidth // 8)


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, index: Any) -> Any:
    """Vector of the numbers of a contiguous array from ``index`` on, of the array's type."""
    kind = VectorType(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _read(context, builder, signature.args[0], arguments[0], arguments[1], kind)

    return kind(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to a contiguous array from ``index`` on; float64 to float32 is rounded."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, value = arguments
        _write(context, builder, signature.args[0], array, index, vector, value)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic  # type: ignore[untyped-decorator]
def transpose(
    typing: Any, source: Any, place: Any, stride: Any, target: Any, to: Any, to_stride: Any
) -> Any:
    """Rows of a square block to columns.

    target[to + i * to_stride + j] = source[place + j * stride + i], for i and j below ``SINGLES``
    where both arrays are float32, else ``DOUBLES``.
    """
    both = source.dtype == target.dtype == types.float32
    kind = VectorType(types.float32 if both else types.float64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, step, out, out_at, out_step = arguments
        kinds, rows = signature.args, []
        for _ in range(kind.lanes):
            rows.append(_read(context, builder, kinds[0], array, at, kind))
            at = builder.add(at, step)
        for row in _transposed(builder, rows):
            _write(context, builder, kinds[3], out, out_at, kind, row)
            out_at = builder.add(out_at, out_step)
        return context.get_dummy_value()

    places = types.intp, types.intp
    return types.void(source, *places, target, *places), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Columns of a square matrix: every round interleaves row i and row i + half."""
    count = len(rows)
    for _ in range(count.bit_length() - 1):
        interleaved = []
        for upper, lower in zip(rows[: count // 2], rows[count // 2 :], strict=True):
            for begin in (0, count // 2):
                order = [begin + i // 2 + (i % 2) * count for i in range(count)]
                mask = ir.Constant(ir.VectorType(_INDEX, count), order)
                interleaved.append(builder.shuffle_vector(upper, lower, mask))
        rows = interleaved
    return rows


@intrinsic  # type: ignore[untyped-decorator]
def splat(typing: Any, number: Any) -> Any:
    """Vector that holds one float32 or float64 number in all lanes."""
    kind = VectorType(number)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        empty = ir.Constant(kind.layout, ir.Undefined)
        single = builder.insert_element(empty, arguments[0], ir.Constant(_INDEX, 0))
        first = ir.Constant(ir.VectorType(_INDEX, kind.lanes), [0] * kind.lanes)
        return builder.shuffle_vector(single, empty, first)

    return kind(number), generate


@intrinsic  # type: ignore[untyped-decorator]
def square_root(typing: Any, vector: Any) -> Any:
    """Square root of every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(vector.layout, [vector.layout])
        name = f"llvm.sqrt.v{vector.lanes}f{vector.number.bitwidth}"
        return builder.call(builder.module.declare_intrinsic(name, fnty=kind), arguments)

    return vector(vector), generate


@intrinsic  # type: ignore[untyped-decorator]
def where_less(typing: Any, left: Any, right: Any, then: Any, other: Any) -> Any:
    """In every lane ``then`` where left < right, which NaN never is, and ``other`` elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        below = builder.fcmp_ordered("<", *arguments[:2])
        return builder.select(below, *arguments[2:])

    return left(left, left, left, left), generate


@intrinsic  # type: ignore[untyped-decorator]
def split_exponent(typing: Any, vector: Any) -> Any:
    """Of positive, normal float32 numbers m * 2 ** e: m within [sqrt(1/2), sqrt(2)), and e."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.VectorType(_INDEX, vector.lanes)

        def constant(value: int) -> Any:
            return ir.Constant(whole, [value] * vector.lanes)

        bits = builder.bitcast(arguments[0], whole)
        root = constant(0x3F3504F3)  # the bits of sqrt(1/2)
        exponent = builder.ashr(builder.sub(bits, root), constant(23))
        rest = builder.sub(bits, builder.shl(exponent, constant(23)))
        parts = builder.bitcast(rest, vector.layout), builder.sitofp(exponent, vector.layout)
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(vector, 2)(vector), generate


def _arithmetic(instruction: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def operation(typing: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=_FUSED)

        return left(left, left), generate

    return operation


def _define(symbol: Callable[..., Any], instruction: str) -> None:
    operation = _arithmetic(instruction)

    @overload(symbol)
    def resolve(left, right):  # type: ignore[no-untyped-def]  # numba compares the signatures
        if isinstance(left, VectorType) and left == right:
            return lambda left, right: operation(left, right)
        return None


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")
