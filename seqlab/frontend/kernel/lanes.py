"""Vectors of float32 for compiled loops: one lane for each of several frames.

numba compiles scalar loops and leaves it to LLVM to find vectors in them, which fails for the
butterflies of an FFT. So this adds one type to numba, a vector of ``LANES`` numbers, with loads,
stores and arithmetic; LLVM maps it to whatever registers the machine has. Every lane goes
through the same operations, so that a frame's result does not depend on its lane or neighbours.
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


def _lanes() -> int:
    """One AVX-512 register, or two registers of eight and four numbers on other machines."""
    try:
        features = llvmlite.binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this machine
        return 8
    return 16 if features.get("avx512f") else 8


LANES = _lanes()
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FUSED = ("contract",)  # a product and a sum may round once


class VectorType(types.Type):  # type: ignore[misc]
    """The type of a vector of ``LANES`` float32 numbers in compiled code."""

    def __init__(self) -> None:
        super().__init__(name=f"vector_of_{LANES}")


vector_type = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = arrayobj.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, index: Any) -> Any:
    """Vector of array[index : index + LANES]; the array is float32 and contiguous."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.load(address, align=4)

    return vector_type(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to array[index : index + LANES]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], address, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def splat(typing: Any, number: Any) -> Any:
    """Vector that holds one float32 number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        index = ir.IntType(32)
        empty = ir.Constant(_VECTOR, ir.Undefined)
        single = builder.insert_element(empty, arguments[0], ir.Constant(index, 0))
        first = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
        return builder.shuffle_vector(single, empty, first)

    return vector_type(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def square_root(typing: Any, vector: Any) -> Any:
    """Square root of every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}f32", fnty=kind)
        return builder.call(function, arguments)

    return vector_type(vector_type), generate


def _arithmetic(instruction: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def operation(typing: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=_FUSED)

        return vector_type(vector_type, vector_type), generate

    return operation


def _define(symbol: Callable[..., Any], instruction: str) -> None:
    operation = _arithmetic(instruction)

    @overload(symbol)
    def resolve(left, right):  # type: ignore[no-untyped-def]  # numba compares the signatures
        if isinstance(left, VectorType) and isinstance(right, VectorType):
            return lambda left, right: operation(left, right)
        return None


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")
