"""Numbers as a scientist writes them."""

import math


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, without an exponent where it is readable.

    Parameters
    ----------
    value
        Any finite number.
    digits
        Significant digits.
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 <= exponent < max(digits, 6):
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa} × 10{_superscript(int(power))}"


def with_error(value: float, error: float) -> str:
    """Write ``value ± error``, both to the second significant digit of the error.

    Parameters
    ----------
    value
        Any finite number.
    error
        Its standard error, in the same unit; at zero, six significant digits of `value` alone.
    """
    if error == 0:
        return significant(value, 6)
    exponent = math.floor(math.log10(float(f"{error:.1e}")))
    decimals = max(1 - exponent, 0)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def with_error_in_brackets(value: float, error: float) -> str:
    """Write ``value(error)``, the error in units of the last digit of the value: ``3.1652(12)``.

    Parameters
    ----------
    value
        Any finite number.
    error
        Its standard error, in the same unit, shown with two digits; at zero, `value` alone.
    """
    if error == 0:
        return f"{value:g}"
    exponent = math.floor(math.log10(float(f"{error:.1e}")))
    decimals = max(1 - exponent, 0)
    shown = f"{error * 10**decimals:.0f}" if exponent < 0 else f"{error:.{decimals}f}"
    return f"{value:.{decimals}f}({shown})"


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
