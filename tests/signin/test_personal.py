"""One customer's data at signin: told to the operator, erased at the operator's word; through the front door."""

import json

from signin_house import COMMAND_KEY, DEVICE, PASSWORD, House

from prikkfri.signin.passwords import store as passwords_store
from prikkfri.signin.passwords.store import Code, Link

KEY = {"authorization": f"Bearer {COMMAND_KEY}"}
BY_EVA = {"customer": "s-1", "by": "Eva"}


async def everything(house: House) -> str:
    found = []
    for table in ("device_token", "session", "credential", "password_code", "password_link"):
        found += await house.database.read(lambda q, table=table: q.fetch(f"SELECT * FROM {table}"))  # type: ignore[misc]
    for table in ("subscriber", "mobile_number", "fixed_subscription", "imported_password"):
        found += await house.subscribers.read(lambda q, table=table: q.fetch(f"SELECT * FROM {table}"))  # type: ignore[misc]
    return str(found)


async def test_what_is_held_is_told_without_secrets_and_erased_for_good(house: House) -> None:
    sign_in = {"login": "kari@example.no", "password": PASSWORD, "device": DEVICE}
    for customer in ("s-1", "s-2"):
        code = Code(f"code of {customer}", customer, DEVICE, b"hash", 1.0, 2.0, 5)
        link = Link(b"link of " + customer.encode(), customer, "Ola", 3.0, 4.0)
        await house.database.write(lambda t, code=code: passwords_store.add_code(t, code))  # type: ignore[misc]
        await house.database.write(lambda t, link=link: passwords_store.add_link(t, link))  # type: ignore[misc]
    async with house.client() as client:
        token = (await client.post("/sign-in", json=sign_in)).json()["device_token"]
        assert (await client.get("/customers/data?customer=s-1")).status_code == 401
        told = (await client.get("/customers/data?customer=s-1", headers=KEY)).json()
        assert [len(told[each]) for each in ("passwords", "devices", "sessions", "password_codes")] == [1, 1, 1, 1]
        assert told["devices"][0]["device"] == DEVICE and told["devices"][0]["revoked_at"] is None
        assert told["password_links"] == [{"made_by": "Ola", "made_at": 3.0, "expires_at": 4.0, "used_at": 0.0}]
        assert "hash" not in str(told) and "token_id" not in str(told)

        assert (await client.post("/customers/erase", json=BY_EVA)).status_code == 401
        assert (await client.post("/customers/erase", json={"customer": "s-1"}, headers=KEY)).status_code == 400
        assert '"s-1"' in json.dumps(await everything(house)).replace("'", '"').replace('\\"', '"')
        erased = await client.post("/customers/erase", json=BY_EVA, headers=KEY)
        assert erased.json() == {"erased": 5}
        left = await everything(house)
        assert "'s-1'" not in left and DEVICE not in left.replace(f"'code of s-2', 's-2', '{DEVICE}'", "")
        assert "'s-2'" in left and "code of s-2" in left and "link of s-2" in left
        # Whoever was signed in is so no more, and that is kept until their token ends.
        assert (await client.get("/devices", headers={"authorization": f"Bearer {token}"})).status_code == 401
        assert (await client.post("/sign-in", json=sign_in)).status_code == 401
        assert (await client.post("/customers/erase", json=BY_EVA, headers=KEY)).json() == {"erased": 0}
    await house.service.keep_house()
    assert len(json.loads((house.config.home / "public" / "revoked.json").read_bytes())["device_tokens"]) == 1
    acts = [(o.customer, o.dimensions) for o in await house.journalled() if o.step == "erase-customer"]
    assert acts == [("", {"by": "Eva"})] * 2
