"""The overview."""


def overview() -> dict[str, object]:
    return {}
