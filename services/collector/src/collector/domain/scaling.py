"""Prices and quantities as whole numbers with a power of ten beside them."""

from decimal import Decimal, InvalidOperation

_DIGITS_MAX = 18
"""A scaled number fits a signed 64-bit integer."""


def exponent_of(step: Decimal) -> int:
    """Give the power of ten that a step is a whole multiple of: -2 for 0.25, 0 for 5."""
    exponent = step.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{step} is no step")  # noqa: TRY004 - not a matter of type: NaN has no exponent
    return min(exponent, 0)


def scaled(text: object, exponent: int) -> int | None:
    """Turn a number told by a venue into a whole number of `10 ** exponent`.

    None where it is no finite number, does not fit 64 bits, or is finer than the exponent: such a number is reported,
    never rounded.
    """
    try:
        number = Decimal(str(text)).scaleb(-exponent)
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() >= _DIGITS_MAX or number != number.to_integral_value():
        return None
    return int(number)


def unscaled(value: int, exponent: int) -> Decimal:
    """Give the exact decimal of a scaled whole number."""
    return Decimal(value).scaleb(exponent)
