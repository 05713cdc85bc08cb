"""Token buckets on a clock of the test's own."""

import pytest
from pydantic import TypeAdapter

from service import rate
from service.errors import RateLimitedError
from service.rate import Rate, RateLimiter, RateText, client_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    return RateLimiter(clock)


@pytest.mark.parametrize(
    ("text", "found"),
    [("10/s", Rate(10, 1)), ("600/m", Rate(600, 60)), ("5000/h", Rate(5000, 3600))],
)
def test_a_rate_is_read_and_written_as_text(text: str, found: Rate) -> None:
    assert Rate.parse(text) == found
    assert str(found) == text
    adapter: TypeAdapter[Rate] = TypeAdapter(RateText)
    assert adapter.dump_json(adapter.validate_python(text)) == f'"{text}"'.encode()


@pytest.mark.parametrize("text", ["", "10", "0/s", "-1/s", "10/d", "1.5/s", "10/s ", "1e3/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        Rate.parse(text)


def test_as_many_go_at_once_as_the_rate_says_and_one_more_is_told_when(
    limiter: RateLimiter, clock: Clock
) -> None:
    limit = Rate(6, 60)  # one in 10 s
    for left in (5, 4, 3, 2, 1, 0):
        assert dict(limiter.take("a", limit)) == {
            b"ratelimit-policy": b'"requests";q=6;w=60',
            b"ratelimit": f'"requests";r={left};t={(6 - left) * 10}'.encode(),
        }
    with pytest.raises(RateLimitedError) as refused:
        limiter.take("a", limit)
    assert refused.value.headers["Retry-After"] == "10"
    assert refused.value.headers["RateLimit"] == '"requests";r=0;t=60'
    clock.now = 9.9
    with pytest.raises(RateLimitedError) as refused:
        limiter.take("a", limit)
    assert refused.value.headers["Retry-After"] == "1"
    clock.now = 10.0
    limiter.take("a", limit)
    with pytest.raises(RateLimitedError):
        limiter.take("a", limit)


def test_a_pause_fills_the_bucket_but_never_over_its_rim(
    limiter: RateLimiter, clock: Clock
) -> None:
    limit = Rate(2, 1)
    limiter.take("a", limit)
    clock.now = 1000.0
    limiter.take("a", limit)
    limiter.take("a", limit)
    with pytest.raises(RateLimitedError):
        limiter.take("a", limit)


def test_one_client_does_not_use_up_what_another_has(limiter: RateLimiter) -> None:
    limiter.take("a", Rate(1, 60))
    limiter.take("b", Rate(1, 60))
    with pytest.raises(RateLimitedError):
        limiter.take("a", Rate(1, 60))


def test_another_limit_counts_at_once(limiter: RateLimiter) -> None:
    limiter.take("a", Rate(1, 3600))
    limiter.take("a", Rate(2, 3600))
    limiter.take("a", Rate(2, 3600))
    with pytest.raises(RateLimitedError):
        limiter.take("a", Rate(2, 3600))


def test_ever_new_clients_do_not_fill_the_memory(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "_MAX_BUCKETS", 3)
    limit = Rate(1, 3600)
    for client in "abc":
        limiter.take(client, limit)
    with pytest.raises(RateLimitedError):
        limiter.take("a", limit)  # which makes it the one last used
    limiter.take("d", limit)
    assert len(limiter._buckets) == 3
    with pytest.raises(RateLimitedError):
        limiter.take("a", limit)
    limiter.take("b", limit)  # forgotten, so it begins anew


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ipv6_client_is_its_network(host: str, client: str) -> None:
    assert client_of(host) == client
