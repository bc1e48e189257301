"""What a password must be. Length beats rules about signs; what many people use is refused."""

LENGTH_MIN = 15
LENGTH_MAX = 256
"""An end to what a caller may make us hash."""

_DISTINCT_MIN = 6

_COMMON = frozenset(
    {
        "123456789012345",
        "1234567890123456",
        "12345678901234567890",
        "012345678901234",
        "abcdefghijklmno",
        "abcdefghijklmnopqrstuvwxyz",
        "abcd1234abcd1234",
        "adminadminadmin",
        "administrator123",
        "changemechangeme",
        "correcthorsebatterystaple",
        "iloveyouiloveyou",
        "letmeinletmeinletmein",
        "passwordpassword",
        "password12345678",
        "password123456789",
        "passw0rdpassw0rd",
        "qwertyuiopasdfgh",
        "qwertyuiopasdfghjkl",
        "qwertyuiop12345",
        "qwertyuiop123456",
        "qwertyuiopasdfghjklzxcvbnm",
        "q1w2e3r4t5y6u7i8",
        "1q2w3e4r5t6y7u8i",
        "1qaz2wsx3edc4rfv",
        "1qaz2wsx3edc4rfv5tgb",
        "superman123456789",
        "thisisapassword",
        "thisismypassword",
        "trustno1trustno1",
        "welcome123456789",
        "zaq12wsxcde34rfv",
    }
)
"""The head of public lists of leaked passwords, of those long enough to pass the length rule."""


def weakness(password: str, login: str) -> str | None:
    """Name what is wrong with a new password, or give None when it may be used."""
    if len(password) < LENGTH_MIN:
        return f"A password has at least {LENGTH_MIN} characters; a sentence is easy to remember."
    if len(password) > LENGTH_MAX:
        return f"A password has at most {LENGTH_MAX} characters."
    plain = password.casefold()
    if plain in _COMMON or plain.rstrip("0123456789!.?") in _COMMON:
        return "This password is on the list of the most used ones."
    if len(set(plain)) < _DISTINCT_MIN:
        return f"A password has at least {_DISTINCT_MIN} different characters."
    if login and login.casefold() in plain and len(plain) - len(login) < LENGTH_MIN // 2:
        return "A password is not the login with something added."
    return None
