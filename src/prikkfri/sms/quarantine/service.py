"""Quarantine: messages that are not what was sealed, and receipts that fit none. Nothing leaves it but by a person."""

from collections.abc import Sequence

from prikkfri.sms import store as messages
from prikkfri.sms.lifecycle import DeliveryState, NetworkReceiptState
from prikkfri.sms.messages import Ending
from prikkfri.sms.network_receipts import NetworkReceipt
from prikkfri.sms.quarantine import store
from prikkfri.sms.quarantine.entries import (
    WHY_NOT,
    Entry,
    HeldMessage,
    Hindrance,
    QuarantineResult,
    ReleaseCheck,
    discarded_step,
    message_entry,
    receipt_entry,
    receipt_words,
    released_step,
    way_out,
)
from prikkfri.sms.receipts.service import ReceiptResult, Receipts
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.sms.trail import Step
from prikkfri.sms.trails.service import message_trail
from prikkfri.storage import Queries, Transaction

SHOWN_MAX = 500
DISCARDED_AT_ONCE_MAX = 1_000


class Quarantine:
    def __init__(self, shared: CentreState, receipts: Receipts) -> None:
        self._shared = shared
        self._receipts = receipts

    async def hold_messages(self, tx: Transaction, misdirected: Sequence[str], now: float) -> list[Ending]:
        """Messages that were claimed, and must not leave the house."""
        ends = [(each, DeliveryState.QUARANTINED, "misdirected") for each in misdirected]
        return await messages.end(tx, ends, now=now)

    async def entries(self, link: str = "") -> list[Entry]:
        """What is in quarantine, for a link (empty: for all), the newest first, `SHOWN_MAX` at most."""

        async def work(queries: Queries) -> list[Entry]:
            party = str(Party("link", link)) if link else ""
            held = await store.messages(queries, party=party, limit=SHOWN_MAX)
            receipts = await store.receipts(queries, link=link, limit=SHOWN_MAX)
            return [*map(message_entry, held), *map(receipt_entry, receipts)]

        found = await self._shared.database.read(work)
        return sorted(found, key=lambda entry: entry.held_at, reverse=True)[:SHOWN_MAX]

    async def examined(self, identity: str) -> ReleaseCheck | None:
        """One entry, and what would come of its release now. None: there is none of that id."""
        shared, now = self._shared, self._shared.clock.now()
        held = await shared.database.read(lambda queries: store.message(queries, identity))
        if held is not None:
            trail = await message_trail(shared.database, held.message.submission)
            to = way_out(held.message, shared.sealer, shared.routes, now)
            why, goes_to = (WHY_NOT[to], "") if isinstance(to, Hindrance) else ("", f"{to.kind} {to.name}")
            return ReleaseCheck(message_entry(held), why, goes_to, trail.steps if trail else ())
        found = await shared.database.read(lambda queries: store.receipt(queries, identity))
        if found is None:
            return None
        gone = found.state == NetworkReceiptState.DISCARDED
        return ReleaseCheck(receipt_entry(found), f"discarded by {found.changed_by}" if gone else "", "")

    async def release(self, identity: str, *, by: str) -> QuarantineResult | None:
        """Lets a message go out by the routes of today, or a receipt end the message that it fits by now.

        None: there is nothing of that id in quarantine. Raises `StorageError`.
        """
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> tuple[QuarantineResult | None, ReceiptResult, Party | None]:
            settling = ReceiptResult()
            held = await store.message(tx, identity)
            if held is not None:
                to = await self._free(tx, held, by, now)
                why = WHY_NOT[to] if isinstance(to, Hindrance) else ""
                return QuarantineResult(why), settling, to if isinstance(to, Party) else None
            found = await store.receipt(tx, identity)
            if found is None or found.state != NetworkReceiptState.HELD:
                return None, settling, None
            why = await self._settle(tx, settling, found.receipt, by, now)
            return QuarantineResult(why), settling, None

        done, settling, to = await self._shared.database.write(work)
        self._receipts.tell(settling)
        if done is not None and not done.hindrance:
            log.warning("%s is released from quarantine by %s", identity, by)
        if to is not None:
            self._shared.bound.wake([to])
        return done

    async def discard(self, identity: str, *, by: str) -> QuarantineResult | None:
        """Nothing comes of it any more; who said so is kept. None: there is nothing of that id in quarantine."""
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> tuple[QuarantineResult | None, ReceiptResult]:
            settling = ReceiptResult()
            held = await store.message(tx, identity)
            if held is not None:
                await store.discard_message(tx, identity, now=now)
                await messages.add_events(tx, [(identity, discarded_step(by, now, held))])
                return QuarantineResult(), settling
            found = await store.receipt(tx, identity)
            if found is None or not await store.discard_receipt(tx, identity, by=by, now=now):
                return None, settling
            settling.held[found.receipt.link] -= 1
            return QuarantineResult(), settling

        done, settling = await self._shared.database.write(work)
        self._receipts.tell(settling)
        if done is not None:
            log.warning("%s in quarantine is discarded by %s", identity, by)
        return done

    async def discard_receipts(self, link: str, *, by: str) -> int:
        """Discards receipts of a link that fit nothing, `DISCARDED_AT_ONCE_MAX` at most; returns how many."""
        now, most = self._shared.clock.now(), DISCARDED_AT_ONCE_MAX
        found = await self._shared.database.write(
            lambda tx: store.discard_receipts(tx, link, by=by, now=now, limit=most)
        )
        settling = ReceiptResult()
        settling.held[link] -= found
        self._receipts.tell(settling)
        log.warning("%d receipts of link %s in quarantine are discarded by %s", found, link, by)
        return found

    async def _free(self, tx: Transaction, held: HeldMessage, by: str, now: float) -> Party | Hindrance:
        to = way_out(held.message, self._shared.sealer, self._shared.routes, now)
        if isinstance(to, Party):
            await store.free(tx, held.message.id, str(to), now=now)
            await messages.add_events(tx, [(held.message.id, released_step(by, now, to))])
        return to

    async def _settle(
        self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt, by: str, now: float
    ) -> str:
        message = await self._receipts.release(tx, settling, receipt, now)
        await self._receipts.record(tx, settling, now)
        if message is None:
            return WHY_NOT[Hindrance.FITS_NOTHING]
        step = Step(now, "receipt-released", f"from quarantine by {by}: {receipt_words(receipt)}")
        await messages.add_events(tx, [(message, step)])
        return ""
