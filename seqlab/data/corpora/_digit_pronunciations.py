"""Ways to say the ten English digits: for espeak-ng in its phonemes, for all as they spell."""

from __future__ import annotations

DIGITS = "zero one two three four five six seven eight nine"

# Weak diphthongs, and sounds of German, French, Greek.
PRONUNCIATIONS = {
    "zero": ("z'i:ro:", "s'i@roU"),
    "one": ("w'an", "v'Van"),
    "two": ("t'u:", "t'U"),
    "three": ("tr'i:", "sr'i:", "fr'i:"),
    "four": ("f'O:", "f'o:r"),
    "five": ("f'aEv", "f'A:v", "f'aIf"),
    "six": ("s'i:ks", "z'Iks"),
    "seven": ("s'EvEn", "z'Ev@n"),
    "eight": ("'e:t", "'Et"),
    "nine": ("n'aEn", "n'A:n"),
}

# Spelled so that a reader of English glides less, or not at all.
WEAK_GLIDES = {"five": "faav", "nine": "naan"}
