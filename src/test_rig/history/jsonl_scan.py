"""The loop that turns JSON lines into EDN of the same length; it can be compiled.

How to think of it: JSON has the values of EDN in other clothes. A word in quotation marks becomes a
keyword and a space, a colon a space, `null` becomes `nil` and a space, and every byte stays where
it is, so that what is found in the one stands at the same place in the other. All else that JSON
allows (texts, numbers, brackets, commas) is left as it is. The lines are held against the grammar
of JSON (RFC 8259), and at the first byte that is not of it all is given up, as in `edn_scan`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["transcribe"]


def transcribe(data: Any) -> Any:
    """Return whether each line is one object, and the lines as EDN."""
    start, value, value_or_end, name, name_or_end, colon, comma_or_end, line_end = range(8)
    deepest = 64
    size = len(data)
    made = data.copy()
    is_map = np.zeros(deepest, dtype=np.bool_)
    depth = 0
    expected = start
    at = 0
    while at < size:
        letter = data[at]
        if letter == 32 or letter == 9:
            made[at] = 32
            at += 1
        elif letter == 10 or letter == 13:
            if depth:
                return False, made
            expected = start
            at += 1
        elif letter == 34:
            is_name = expected in (name, name_or_end)
            if not is_name and expected != value and expected != value_or_end:
                return False, made
            begin = at
            at += 1
            is_word = True
            is_escaped = False
            while at < size and data[at] != 34:
                letter = data[at]
                if letter < 32:
                    return False, made
                if letter == 92:
                    is_escaped = True
                    at += 1
                    if at >= size:
                        return False, made
                    letter = data[at]
                    if letter == 117:
                        if at + 4 >= size:
                            return False, made
                        for place in range(1, 5):
                            digit = data[at + place]
                            if not (48 <= digit <= 57 or 65 <= digit <= 70 or 97 <= digit <= 102):
                                return False, made
                        at += 4
                    elif not (
                        letter == 34
                        or letter == 92
                        or letter == 47
                        or letter == 98
                        or letter == 102
                        or letter == 110
                        or letter == 114
                        or letter == 116
                    ):
                        return False, made
                elif not 97 <= letter <= 122:
                    is_word = False
                at += 1
            if at >= size:
                return False, made
            is_word &= at - begin > 1 and not is_escaped
            if is_name and not is_word:
                # None of the names that are looked for; but an escape may spell one.
                if is_escaped or at - begin == 1:
                    return False, made
                for place in range(begin + 1, at):
                    made[place] = 120
            if is_name or is_word:
                made[begin] = 58
                made[at] = 32
            at += 1
            expected = colon if is_name else comma_or_end
        elif letter == 44:
            if expected != comma_or_end:
                return False, made
            expected = name if is_map[depth - 1] else value
            at += 1
        elif letter == 58:
            if expected != colon:
                return False, made
            made[at] = 32
            expected = value
            at += 1
        elif letter == 123 or letter == 91:
            is_first = expected == start and letter == 123
            if not is_first and expected != value and expected != value_or_end:
                return False, made
            if depth == deepest:
                return False, made
            is_map[depth] = letter == 123
            depth += 1
            expected = name_or_end if letter == 123 else value_or_end
            at += 1
        elif letter == 125 or letter == 93:
            if not depth or is_map[depth - 1] != (letter == 125):
                return False, made
            if expected != comma_or_end and expected != (
                name_or_end if letter == 125 else value_or_end
            ):
                return False, made
            depth -= 1
            expected = comma_or_end if depth else line_end
            at += 1
        elif expected != value and expected != value_or_end:
            return False, made
        elif letter == 45 or 48 <= letter <= 57:
            if letter == 45:
                at += 1
            begin = at
            while at < size and 48 <= data[at] <= 57:
                at += 1
            if at == begin or (data[begin] == 48 and at - begin > 1):
                return False, made
            if at < size and data[at] == 46:
                at += 1
                begin = at
                while at < size and 48 <= data[at] <= 57:
                    at += 1
                if at == begin:
                    return False, made
            if at < size and (data[at] == 69 or data[at] == 101):
                at += 1
                if at < size and (data[at] == 43 or data[at] == 45):
                    at += 1
                begin = at
                while at < size and 48 <= data[at] <= 57:
                    at += 1
                if at == begin:
                    return False, made
            expected = comma_or_end
        else:
            # null, true, false
            if letter == 110:
                spelled = (110, 117, 108, 108, 0)
            elif letter == 116:
                spelled = (116, 114, 117, 101, 0)
            elif letter == 102:
                spelled = (102, 97, 108, 115, 101)
            else:
                return False, made
            length = 5 if letter == 102 else 4
            if at + length > size:
                return False, made
            for place in range(length):
                if data[at + place] != spelled[place]:
                    return False, made
            if letter == 110:
                made[at + 1], made[at + 2], made[at + 3] = 105, 108, 32
            at += length
            expected = comma_or_end
    return expected in (start, line_end), made
