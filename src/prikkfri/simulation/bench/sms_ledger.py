"""The ledger of a benchmark's messages, kept at both ends: what was handed in, what arrived, what was told of it.

Each message bears a number of its own in its words, and belongs to one account and one phone. The ends write down what
they see; what was lost, doubled or given to a stranger is worked out from that alone, when all is over.
"""

from dataclasses import dataclass, field

_WORDS = "Order {:010d} is at the shop. Bring identification and the code {:06d}. Open until 22 today."
_NUMBER = slice(6, 16)
PHONES = 1_000


def words_of(number: int) -> str:
    return _WORDS.format(number, number * 7_919 % 1_000_000)


def phone_of(number: int) -> str:
    return f"479{number * 31 % PHONES:07d}"


@dataclass(frozen=True)
class Verdict:
    lost: int
    """Accepted, and never arrived, or never told to have been delivered."""
    duplicated: int
    """Arrivals and receipts beyond the first, and ids that were given twice."""
    misdelivered: int
    """What came to another phone or account than its own, or in words that nobody wrote."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.misdelivered)


@dataclass
class Ledger:
    receipts: bool
    """Whether each message is owed one."""
    answered: int = 0
    arrived: int = 0
    receipted: int = 0
    _accounts: list[int] = field(default_factory=list)
    """By number: whose message it is."""
    _ids: list[tuple[int, str]] = field(default_factory=list)
    _arrivals: list[tuple[str, str]] = field(default_factory=list)
    _receipts: list[tuple[int, str, str, bool]] = field(default_factory=list)

    @property
    def handed_in(self) -> int:
        return len(self._accounts)

    @property
    def settled(self) -> bool:
        """As far as it can be counted: each has been answered, and has come to its end."""
        return min(self.answered, self.receipted if self.receipts else self.arrived) >= self.handed_in

    @property
    def moves(self) -> int:
        """Grows as long as anything happens."""
        return self.handed_in + self.answered + self.arrived + self.receipted

    def hand_in(self, account: int) -> int:
        """The number of one more message."""
        self._accounts.append(account)
        return len(self._accounts) - 1

    def accept(self, number: int, message_id: str) -> None:
        self.answered += 1
        self._ids.append((number, message_id))

    def arrive(self, phone: str, words: str) -> None:
        self.arrived += 1
        self._arrivals.append((phone, words))

    def tell(self, account: int, message_id: str, phone: str, *, delivered: bool) -> None:
        """A receipt has come to an account."""
        self.receipted += 1
        self._receipts.append((account, message_id, phone, delivered))

    def verdict(self) -> Verdict:
        ids = {message_id: number for number, message_id in self._ids}
        accepted = {number for number, _ in self._ids}
        doubled = len(self._ids) - len(ids)
        astray = 0
        arrived, told = set[int](), set[int]()
        for phone, words in self._arrivals:
            found = words[_NUMBER]
            number = int(found) if found.isdecimal() else -1
            if not 0 <= number < self.handed_in or (phone, words) != (phone_of(number), words_of(number)):
                astray += 1
                continue
            doubled += number in arrived
            arrived.add(number)
        for account, message_id, phone, delivered in self._receipts:
            owner = ids.get(message_id)
            if owner is None or (account, phone) != (self._accounts[owner], phone_of(owner)):
                astray += 1
                continue
            doubled += owner in told
            if delivered:
                told.add(owner)
        ended = arrived & told if self.receipts else arrived
        return Verdict(len(accepted - ended), doubled, astray)
