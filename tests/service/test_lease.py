"""A thing is put away once nobody uses it."""

import asyncio

import pytest

from service.lease import Leases


async def test_returned_waits_for_every_lease_also_one_whose_block_failed() -> None:
    leases = Leases()
    await leases.returned()  # nobody ever used it

    def fail() -> None:
        with leases.lease():
            assert leases.count == 2
            raise ZeroDivisionError

    with leases.lease():
        returned = asyncio.create_task(leases.returned())
        with pytest.raises(ZeroDivisionError):
            fail()
        await asyncio.sleep(0)
        assert not returned.done()
    await returned
    assert leases.count == 0


async def test_a_lease_in_the_meantime_is_waited_for_and_revoking_waits_for_none() -> None:
    leases = Leases()
    with leases.lease():
        returned = asyncio.create_task(leases.returned())
        await asyncio.sleep(0)
        assert not returned.done()
        leases.revoke()
        await returned
        assert leases.count == 1
