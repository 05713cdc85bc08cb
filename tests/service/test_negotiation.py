"""Which media type an Accept header gets, and what it is refused with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import NotAcceptableError
from service.negotiation import choose

JSON, JPEG, PNG, WEBP = "application/json", "image/jpeg", "image/png", "image/webp"
OFFERS = (JSON, JPEG, PNG, WEBP)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("  ", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("APPLICATION/JSON; charset=utf-8", JSON),
        ("image/png", PNG),
        ("Image/PNG", PNG),
        ("image/webp", WEBP),
        ("image/*", JPEG),
        ("image/png, image/jpeg", JPEG),
        ("image/png, image/jpeg;q=0.9", PNG),
        ("image/png;q=0.5, application/json;q=0.6", JSON),
        ("image/png;q=0.51,application/json;q=0.5", PNG),
        ("image/png, */*;q=0.8", PNG),
        ("text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8", WEBP),
        ("text/html, */*;q=0.001", JSON),
        # The most specific range counts, wherever it stands.
        ("image/*, image/jpeg;q=0.1", PNG),
        ("image/jpeg;q=0, image/png;q=0, image/*", WEBP),
        ("*/*, application/json;q=0", JPEG),
        ("*/*;q=0.1, image/*;q=0.2, image/webp;q=0.3", WEBP),
        # What is malformed is as if it were not there.
        ("image/png;q=2, image/webp", WEBP),
        ("image/png;q=-1, image/webp", WEBP),
        ("image/png;q=0.1234, image/webp", WEBP),
        ("image/png;q=, image/webp", WEBP),
        ("png, image/webp", WEBP),
        ("*/png, image/webp", WEBP),
        (",,image/webp,", WEBP),
        ("image/png ; q = 0.5 , image/webp;q=1.000", WEBP),
    ],
)
def test_the_offer_of_the_greatest_weight_is_chosen(accept: str, chosen: str) -> None:
    assert choose(accept, OFFERS) == chosen


@pytest.mark.parametrize(
    "accept",
    ["text/html", "image/gif", "*/*;q=0", "image/png;q=0", "json", "image/", ";q=1", ",", "*"],
)
def test_nothing_acceptable_is_refused_with_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptableError) as caught:
        choose(accept, OFFERS, "the answer to this")
    assert str(caught.value) == (
        "the answer to this comes as application/json or image/jpeg or image/png or image/webp, "
        f"which 'Accept: {accept}' does not allow"
    )
    assert caught.value.headers == {"Vary": "Accept"}


def test_a_long_header_is_not_repeated_at_length() -> None:
    with pytest.raises(NotAcceptableError) as caught:
        choose("text/html," * 1000, OFFERS)
    assert len(str(caught.value)) < 400


@given(st.text())
def test_whatever_is_sent_is_chosen_for_or_refused(accept: str) -> None:
    try:
        assert choose(accept, OFFERS) in OFFERS
    except NotAcceptableError:
        assert accept.strip()
