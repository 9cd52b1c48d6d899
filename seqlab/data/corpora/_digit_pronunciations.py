"""Ways to say the ten English digits: for espeak-ng in its phonemes, for others as they spell."""

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

# How a reader of that language is made to say English digits, with the sounds there are.
_SPELLED = {
    "cs": "zirou uan tú srí fór fajv siks sevn ejt najn",
    "de": "siero uann tu srie for faiw sicks sewen äit nain",
    "el": "ζίρο γουάν του θρι φορ φάιβ σικς σέβεν έιτ νάιν",
    "es": "siro uan tu sri for faiv siks seven eit nain",
    "et": "siro van tuu trii foor faiv siks seven eit nain",
    "fr": "zirau ouane tou fri forre faïve sixe sévène eïte naïne",
    "hi": "ज़ीरो वन टू थ्री फोर फाइव सिक्स सेवन एट नाइन",
    "hr": "zirou uan tu tri for fajv siks seven ejt najn",
    "id": "ziro wan tu tri for faif siks seven eit nain",
    "is": "síró van tú þrí for fæv siks seven eit næn",
    "it": "zirou uan tu tri for faiv sics seven eit nain",
    "la": "ziro uan tu tri for faiu sics seuen eit nain",
    "lt": "ziro van tū trī for faiv siks seven eit nain",
    "ms": "ziro wan tu tri for faif siks seven eit nain",
    "nl": "ziro wan toe srie foor faaiv siks seven eet naain",
    "pt": "zirou uan tu tri fór faive sics séven eite nain",
    "te": "జీరో వన్ టూ త్రీ ఫోర్ ఫైవ్ సిక్స్ సెవెన్ ఎయిట్ నైన్",
    "tr": "ziro van tu tri for fayv siks seven eyt nayn",
}
SPELLED = {
    language: dict(zip(DIGITS.split(), line.split(), strict=True))
    for language, line in _SPELLED.items()
}
