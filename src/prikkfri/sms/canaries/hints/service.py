"""Hints: what partners, people, receipts and what is handed in say of a way, before canaries prove anything."""

from dataclasses import replace

from prikkfri.sms import outcomes
from prikkfri.sms.canaries.phones import digits
from prikkfri.sms.canaries.shared.service import CanaryState, log
from prikkfri.sms.trust.evidence import Hint
from prikkfri.sms.trust.wrong_numbers import Complainants


class Hints:
    def __init__(self, shared: CanaryState) -> None:
        self._shared = shared
        self._sayers = Complainants()

    async def complain(self, link: str, *, who: str) -> bool:
        """A partner complains, says a person, that messages go astray; False when there is no such link.

        Raises `StorageError`.
        """
        if link not in self._shared.links:
            return False
        shared = self._shared
        log.warning("link %s: its partner complains of misdelivery, says %s", link, who)
        await shared.journal.append(outcomes.complained(link, shared.partners, who=who, now=shared.clock.now()))
        shared.hint(link, Hint.PARTNER)
        return True

    def say_wrong_number(self, number: str, *, address: str) -> bool:
        """Somebody got a message on a phone with this number that was not for them; False: it is no number of a link.

        What is said too often, of one number or from one network, is not taken, and answered alike.
        """
        link = self._shared.centre.link_of(number)
        if link is None:
            return False
        if self._sayers.takes(digits(number), address, self._shared.clock.monotonic()):
            self._shared.hint(link, Hint.PEOPLE)
        return True

    def read_signs(self) -> None:
        """What receipts and what is handed in hint at, and who says by message that one was not for them."""
        for link, number in self._shared.centre.take_complainants():
            if self._sayers.takes(number, "", self._shared.clock.monotonic()):
                self._shared.hint(link, Hint.PEOPLE)
        for link, seen in self._shared.watches.items():
            signs = self._shared.centre.signs(link)
            if (misfits := signs.misfits - seen.signs.misfits) > 0:
                self._shared.hint(link, Hint.RECEIPTS, misfits)
            if (returned := signs.returned - seen.signs.returned) > 0:
                self._shared.hint(link, Hint.RETURNED, returned)
            seen.signs = replace(signs, taken=seen.signs.taken)
