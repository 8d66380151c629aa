"""Playout as a whole: who may watch what, what is on, and what became of it. It needs no other role to be up."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from prikkfri.clock import Clock
from prikkfri.config import Channel, Streaming
from prikkfri.errors import ProtocolError, RemoteProtocolError
from prikkfri.journal.outcomes import Outcome
from prikkfri.protocols import cat, xmltv
from prikkfri.protocols.networks import Allowance, Networks
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import write_whole
from prikkfri.streaming import pictures, schedule
from prikkfri.streaming.admission import OncePerPeriod, PictureOutage, Presence, refusal
from prikkfri.streaming.channels import check_channels, source_kind
from prikkfri.streaming.fallback import (
    RULE,
    ChannelOverride,
    ChannelStatus,
    Fallback,
    SignInHealth,
    apply_override,
    apply_rule,
    channel_statuses,
    open_channels,
)
from prikkfri.streaming.guides import Guide, read_guide, xmltv_id
from prikkfri.streaming.limits import Limits
from prikkfri.streaming.picture import Design, colour_of
from prikkfri.streaming.pictures import PICTURE, Gone, Picture
from prikkfri.streaming.playout import MEDIA_PLAYLIST, ChannelPlayout, Feed, OnAirChannel, SourceFeed, TestFeed
from prikkfri.streaming.reports import Report, outcome_of
from prikkfri.streaming.revocations import Revocations, read_revocations

INDEX = "index.m3u8"
WATCH = "watch"
"""The step of who watches already: the picture goes, and is back."""
WIDTH, HEIGHT = 960, 540
GUIDE_PAST_SECONDS_MAX, GUIDE_AHEAD_SECONDS_MAX = 2 * 86400.0, 8 * 86400.0

LIMITS = Limits()

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlayoutResponse:
    status: Literal[200, 403, 404, 503]
    kind: Literal["playlist", "media", "error"]
    body: bytes


class Playout:
    """`record` takes outcomes; it neither waits nor fails. `folder` is what relative file names are relative to.

    `keys_path` is a JWK set, or a folder of them (`*.json`, one for each issuer). `sign_in_trouble` says why people do
    not get in just now, empty when they do. `device_tokens` judges the device tokens that reports come with.
    `state_folder`: where this process keeps what it goes on from (None: `folder`/playout).
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        settings: Streaming,
        *,
        folder: Path,
        keys_path: Path,
        revocations_path: Path,
        record: Callable[[Outcome], None],
        clock: Clock,
        sign_in_trouble: Callable[[], Awaitable[str]] | None = None,
        slate_text: str = "Vi er straks tilbake",
        limits: Limits = LIMITS,
        put_on_air: Callable[[Channel], OnAirChannel] | None = None,
        device_tokens: DeviceTokens | None = None,
        trusted_proxies: Sequence[str] = (),
        state_folder: Path | None = None,
    ) -> None:
        self.counters: Counter[tuple[str, str]] = Counter()
        self._channels = {channel.id: channel for channel in check_channels(channels)}
        self._settings = settings
        self._limits = limits
        self._timezone = ZoneInfo(settings.timezone)
        self._record = record
        self._clock = clock
        self._keys = _Watched(keys_path, _all_keys, limits.keys_bytes_max)
        self._revocations = _Watched(revocations_path, _revocations, limits.revocations_bytes_max)
        self._guides = {
            name: _Watched(folder / name, _guide, xmltv.LIMITS.document_bytes_max)
            for name in dict.fromkeys(channel.xmltv for channel in self._channels.values() if channel.xmltv)
        }
        self._revoked = Revocations()
        self._keys_refreshed_at = float("-inf")
        self._alarmed_stale = False
        self._began_at = clock.now()
        self._pictures: dict[str, Picture] = {}
        self._away: dict[str, PictureOutage] = {}
        self._went: dict[str, Gone] = {}
        """When and how the picture of each channel went the last time that it was told."""
        state_folder = state_folder or folder / "playout"
        self._gone_path = state_folder / "pictures.json"
        self._verified: dict[str, cat.Claims] = {}
        self._presence = Presence(
            absent_seconds=limits.absent_seconds,
            switch_seconds_min=limits.switch_seconds_min,
            viewers_max=limits.present_viewers_max,
        )
        refusals_s, reports_s = limits.refusal_period_seconds, limits.report_period_seconds
        self._refused_customers = OncePerPeriod(period_seconds=refusals_s, keys_max=limits.refused_customers_max)
        self._refused_strangers = OncePerPeriod(period_seconds=refusals_s, keys_max=limits.refused_strangers_max)
        self._reports = OncePerPeriod(period_seconds=reports_s, keys_max=limits.reports_per_period_max)
        self._reporting = Allowance(
            burst=limits.reports_per_network,
            per_second=limits.reports_per_network_per_second,
            free=Networks(trusted_proxies),
        )
        self._device_tokens = device_tokens
        self._schedules: dict[str, schedule.Schedule] = {}
        self._schedules_at = float("-inf")
        self._guide_documents: dict[tuple[float, float], bytes] = {}
        self._channels_document = (0, b"")
        self._sign_in_trouble = sign_in_trouble
        self._sign_in_seen = SignInHealth("", clock.now())
        self._fallback_path = state_folder / "fallback.json"
        self._fallback = _read_fallback(self._fallback_path)
        if put_on_air is None:
            put_on_air = partial(self._channel_playout, folder=folder, slate_text=slate_text)
        self.on_air = {channel.id: put_on_air(channel) for channel in self._channels.values()}

    def _channel_playout(self, channel: Channel, *, folder: Path, slate_text: str) -> ChannelPlayout:
        design = Design(WIDTH, HEIGHT, channel.name, channel.number, colour_of(channel.colour), self._timezone)
        kind = source_kind(channel.source)
        feed: Feed
        if kind == "test-picture":
            feed = TestFeed(design, lambda now: self._title_at(channel.id, now))
        else:
            address = channel.source if kind == "address" else str(folder / channel.source)
            feed = SourceFeed(address, design, slate_text, self._limits)
        return ChannelPlayout(
            channel.id,
            feed,
            design,
            clock=self._clock,
            segment_seconds=self._settings.segment_seconds,
            window_seconds=self._settings.window_seconds,
            limits=self._limits,
        )

    async def run(self) -> None:
        """Puts the channels on air until cancelled."""
        self._began_at = self._clock.now()
        self._end_removed()
        await self._keep_house()
        for channel in self.on_air.values():
            channel.start()
        watching = self._sign_in_trouble and asyncio.create_task(self._watch_sign_in(self._sign_in_trouble))
        try:
            while True:
                await asyncio.sleep(self._limits.housekeeping_seconds)
                await self._keep_house()
        finally:
            if watching:
                watching.cancel()
            for channel in self.on_air.values():
                channel.stop()
            for channel in self.on_air.values():
                await asyncio.to_thread(channel.join)

    async def _watch_sign_in(self, sign_in_trouble: Callable[[], Awaitable[str]]) -> None:
        """Opens and closes the fallback channels by rule; needs nobody else to be alive."""
        while True:
            try:
                self._see_sign_in(await sign_in_trouble())
            except Exception:  # the edge of the task: one question that failed must not be the last one asked
                log.exception("how sign-in does could not be found out")
            await asyncio.sleep(self._limits.sign_in_asked_seconds)

    def _see_sign_in(self, trouble: str) -> None:
        now = self._clock.now()
        self._sign_in_seen = self._sign_in_seen.asked(trouble, now)
        decided = apply_rule(self._fallback, self._sign_in_seen, self._settings, now=now)
        self._decide(decided, RULE, trouble or "people get in again")

    def say(self, channel_id: str, override: ChannelOverride | None, *, by: str) -> bool:
        """Opens or closes a channel at a person's word (None: by the rule again); False when there is no such."""
        if channel_id not in self._channels:
            return False
        self._decide(apply_override(self._fallback, channel_id, override), by, "")
        return True

    def _decide(self, fallback: Fallback, by: str, reason: str) -> None:
        if fallback == self._fallback:
            return
        before = {channel.id for channel in self.open_channels()}
        self._fallback = fallback
        after = {channel.id for channel in self.open_channels()}
        log.warning("open channels: %s (were: %s)", ", ".join(sorted(after)), ", ".join(sorted(before)))
        now = self._clock.now()
        for channel_id in sorted(after ^ before):
            self._record(_switched(now, channel_id, opened=channel_id in after, by=by, reason=reason))
        try:
            write_whole(self._fallback_path, msgspec.json.encode(fallback), mode=0o600)
        except OSError as error:
            log.error("what was decided of open channels cannot be kept over a restart: %s", error)

    def open_channels(self) -> tuple[Channel, ...]:
        return open_channels(tuple(self._channels.values()), self._fallback, self._settings)

    def channel_statuses(self) -> tuple[ChannelStatus, ...]:
        """Whether each channel stands open, and who wants it so."""
        return channel_statuses(tuple(self._channels.values()), self._fallback, self._settings)

    def watch(self, token: str, channel_id: str, name: str) -> PlayoutResponse:
        """What `/live/TOKEN/CHANNEL/NAME` answers."""
        channel = self._channels.get(channel_id)
        if channel is None:
            return _NOT_FOUND
        now = self._clock.now()
        verdict = self._verdict(token, now)
        if refused := refusal(verdict, channel, self._revoked):
            self.counters["refusals_total", refused.reason] += 1
            if verdict.claims:
                self._record_broken(verdict.claims, channel_id, refused.reason, now)
            elif self._refused_strangers.lets_through((token, channel_id), now):
                self._record(_outcome(now, channel_id, refused.reason))
            return _error(403, refused.error, "this channel cannot be watched with this token")
        answer = self._serve(channel_id, name, now)
        if name == MEDIA_PLAYLIST and verdict.claims:
            gone: Gone = "no-picture" if answer.status != 200 else "slate" if self._on_slate(channel_id) else ""
            self._tell_watching(verdict.claims, channel_id, gone, now)
        return answer

    def _tell_watching(self, claims: cat.Claims, channel_id: str, gone: Gone, now: float) -> None:
        """Records that somebody came or switched, lost the picture that they watched, or has it back."""
        step = self._presence.coming(claims, channel_id, now)
        if gone and step:  # who comes while there is no picture has not come yet: kept when it is there
            self._record_broken(claims, channel_id, gone, now, step=step)
            return
        self._presence.comes(claims, channel_id, now, self._away.get(channel_id))
        owed = self._presence.owed(claims, channel_id)
        if step:
            self._record(_outcome(now, channel_id, customer=claims.subscriber, step=step))
        elif owed == "broken":
            if self._record_broken(claims, channel_id, self._went[channel_id], now, step=WATCH):
                self._presence.told(claims)
        elif owed == "kept" and not gone:
            self._record(_outcome(now, channel_id, customer=claims.subscriber, step=WATCH))
            self._presence.told(claims)

    def watch_open(self, channel_id: str, name: str) -> PlayoutResponse:
        """What `/open/CHANNEL/NAME` answers: no token is asked for while the channel is open."""
        if channel_id not in {channel.id for channel in self.open_channels()}:
            return _NOT_FOUND
        return self._serve(channel_id, name, self._clock.now())

    def report(self, report: Report, *, bearer: str = "", address: str = "") -> float | None:
        """Records what a device reports; what it says again within seconds, and what is too much, is only counted.

        Returns None, or the seconds after which its network may report again.
        """
        now = self._clock.now()
        if (retry_after_s := self._reporting.take(address, now)) is not None:
            self.counters["reports_refused_total", ""] += 1
            return retry_after_s
        if report.channel and report.channel not in self._channels:
            report = msgspec.structs.replace(report, channel="")
        customer = self._reported_by(bearer or report.token, now)
        self.counters["reports_total" if customer else "reports_unproven_total", ""] += 1
        key = (customer, report.device, report.step, str(report.kept), report.reason, report.channel)
        if self._reports.lets_through(key, now):
            self._record(outcome_of(report, now, customer))
        else:
            self.counters["reports_dropped_total", ""] += 1
        return None

    def _reported_by(self, token: str, now: float) -> str:
        """Whose token a report came with; empty when with none that is good."""
        if not token:
            return ""
        verdict = self._verdict(token, now)
        if verdict.claims is not None:
            good = verdict.standing != "expired" and not self._revoked.cover(verdict.claims)
            return verdict.claims.subscriber if good else ""
        if self._device_tokens is None:
            return ""
        known, wrong = self._device_tokens.judge(token)
        return known.subscriber if known is not None and wrong is None else ""

    def channels_document(self, *, only_open: bool = False) -> bytes:
        """The channels with what is on now and next."""
        now = int(self._clock.now())
        if only_open:
            return self._channels_json(self.open_channels(), now)
        if self._channels_document[0] != now:  # the crowd of a kick-off asks thousands of times a second
            self._channels_document = now, self._channels_json(tuple(self._channels.values()), now)
        return self._channels_document[1]

    def guide_document(self, start: float | None, stop: float | None) -> bytes | None:
        """The programmes that touch a time, to the minute; None when it is beyond what a guide holds."""
        now = self._clock.now()
        start = (now - 3600 if start is None else start) // 60 * 60
        stop = (start + 86400 if stop is None else stop) // 60 * 60
        if not now - GUIDE_PAST_SECONDS_MAX - 60 <= start < stop <= now + GUIDE_AHEAD_SECONDS_MAX:
            return None
        if (document := self._guide_documents.get((start, stop))) is None:
            document = msgspec.json.encode(
                [
                    {"id": channel_id, "programmes": schedule.between(programmes, start, stop)}
                    for channel_id, programmes in self._schedules.items()
                ]
            )
            if len(self._guide_documents) >= self._limits.guides_kept_max:
                self._guide_documents.clear()
            self._guide_documents[start, stop] = document
        return document

    def troubles(self) -> list[str]:
        """What is wrong at this moment, a sentence each; empty when all is well."""
        now = self._clock.now()
        troubles = []
        if not self._keys.value:
            troubles.append("no key for playback tokens is known, so nobody can start to watch")
        if self._keys.broken:
            troubles.append("the keys for playback tokens cannot be read; the last good ones are in force")
        if self._revocations.broken:
            troubles.append("the revocation list cannot be read; the last good one is in force")
        if self._revocations.value and self._revoked.is_stale(now):
            troubles.append(f"the revocation list is {now - self._revoked.as_of:.0f} s old; it refuses nobody anew")
        for channel_id, playout in self.on_air.items():
            if now - playout.live.end > self._limits.stalled_seconds:
                troubles.append(f"channel {channel_id} has no picture")
            elif self._on_slate(channel_id):
                troubles.append(f"channel {channel_id} shows the slate: its source is away")
        return troubles + [told for name in self._guides if (told := self._guide_told(name))]

    def guide_told(self, channel: Channel) -> str:
        """What is amiss with the guide that a channel takes its schedule from; empty: nothing, or it takes none."""
        return self._guide_told(channel.xmltv, (channel,)) if channel.xmltv else ""

    def _guide_told(self, name: str, channels: tuple[Channel, ...] = ()) -> str:
        """The same of a file, for some of the channels or for all that take it."""
        guide = self._guides[name]
        if guide.broken:
            stands = "the last good one is in force" if guide.value else "its channels have what is configured"
            return f"the guide {name} cannot be used; {stands}: {guide.wrong}"
        if guide.value is None:
            return f"the guide {name} is not there; its channels have what is configured"
        channels = channels or tuple(each for each in self._channels.values() if each.xmltv == name)
        told = guide.value.told(channels)
        return told and f"of the guide {name}: {told}"

    def metrics(self) -> dict[str, float]:
        """Counters and gauges by their Prometheus names."""
        now = self._clock.now()
        values: dict[str, float] = {
            f"prikkfri_playout_{name}" + (f'{{reason="{reason}"}}' if reason else ""): count
            for (name, reason), count in self.counters.items()
        }
        values["prikkfri_playout_public_keys"] = len(self._keys.value or {})
        values["prikkfri_playout_public_keys_broken"] = self._keys.broken
        values["prikkfri_playout_verified_tokens"] = len(self._verified)
        values["prikkfri_playout_revocation_list_broken"] = self._revocations.broken
        if self._revocations.value:
            values["prikkfri_playout_revocation_list_age_seconds"] = now - self._revoked.as_of
        values["prikkfri_playout_troubles"] = len(self.troubles())
        for channel_id, playout in self.on_air.items():
            label = f'{{channel="{channel_id}"}}'
            values[f"prikkfri_playout_segment_age_seconds{label}"] = now - playout.live.end
            values[f"prikkfri_playout_slate{label}"] = self._on_slate(channel_id)
            values[f"prikkfri_playout_runs_total{label}"] = playout.runs
        return values

    def _on_slate(self, channel_id: str) -> bool:
        return self.on_air[channel_id].feed.on_air == "slate"

    def _tell_pictures(self, now: float) -> None:
        """Records each channel whose picture has gone or come back; after a start, how each of them stands."""
        for channel_id, playout in self.on_air.items():
            stalled = now - max(playout.live.end, self._began_at) > self._limits.stalled_seconds
            if not playout.live.end and not stalled:
                continue  # its first segment is being made
            gone: Gone = "no-picture" if stalled else "slate" if self._on_slate(channel_id) else ""
            picture = pictures.seen(self._pictures.get(channel_id), gone, now)
            if picture.to_tell(now, after_seconds=self._limits.picture_told_seconds):
                self._record(_outcome(picture.since, channel_id, gone, step=PICTURE))
                picture = picture.as_told()
                if gone:
                    self._away[channel_id], self._went[channel_id] = PictureOutage(picture.since, math.inf), gone
                elif channel_id in self._away:
                    self._away[channel_id] = replace(self._away[channel_id], until=picture.since)
                self._pictures[channel_id] = picture
                self._keep_gone()
            self._pictures[channel_id] = picture

    def _end_removed(self) -> None:
        """Of a channel that was without a picture when playout ended, and that is no channel any more, it is over."""
        for channel_id in _read_gone(self._gone_path):
            if channel_id not in self._channels:
                self._record(_outcome(self._began_at, channel_id, step=PICTURE))

    def _keep_gone(self) -> None:
        gone = sorted(channel_id for channel_id, picture in self._pictures.items() if picture.told)
        try:
            write_whole(self._gone_path, msgspec.json.encode(gone), mode=0o600)
        except OSError as error:
            log.error("which channels are without a picture cannot be kept over a restart: %s", error)

    def _serve(self, channel_id: str, name: str, now: float) -> PlayoutResponse:
        live = self.on_air[channel_id].live
        if name in (INDEX, MEDIA_PLAYLIST):
            if now - live.end > self._limits.stalled_seconds:
                return _error(503, "no-picture", "the channel has no picture at the moment")
            self.counters["playlists_total", ""] += 1
            return PlayoutResponse(200, "playlist", live.multivariant if name == INDEX else live.playlist)
        content = live.files.get(name)
        if content is None:
            return _NOT_FOUND
        self.counters["segments_total", ""] += 1
        return PlayoutResponse(200, "media", content)

    def _verdict(self, token: str, now: float) -> cat.Verdict:
        grace_s = self._settings.expired_token_grace_hours * 3600
        if claims := self._verified.get(token):
            return cat.judge(claims, now, grace_s)
        verdict = cat.verify(token, self._keys.value or {}, now, grace_s)
        if verdict.reason == "unknown-key" and self._refresh_keys():  # an issuer's first token, or its next key's
            verdict = cat.verify(token, self._keys.value or {}, now, grace_s)
        if verdict.claims:
            if len(self._verified) >= self._limits.verified_tokens_max:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = verdict.claims
        return verdict

    def _record_broken(
        self, claims: cat.Claims, channel_id: str, reason: str, now: float, *, step: str = "start-playback"
    ) -> bool:
        """False: too much has been told lately; what lasts is told when it is met with again."""
        told = self._refused_customers.lets_through((claims.subscriber, channel_id, reason), now)
        if told:
            self._record(_outcome(now, channel_id, reason, customer=claims.subscriber, step=step))
        return told

    def _channels_json(self, channels: Sequence[Channel], now: float) -> bytes:
        described = []
        for channel in channels:
            on, following = schedule.now_and_next(self._schedules.get(channel.id, ()), now)
            described.append(
                {
                    "id": channel.id,
                    "name": channel.name,
                    "number": channel.number,
                    "colour": channel.colour,
                    "package": channel.package,
                    "now": on,
                    "next": following,
                }
            )
        return msgspec.json.encode(described)

    def _title_at(self, channel_id: str, now: float) -> str:
        on, _ = schedule.now_and_next(self._schedules.get(channel_id, ()), now)
        return on.title if on else ""

    def _refresh_keys(self) -> bool:
        now = self._clock.monotonic()
        if now - self._keys_refreshed_at < self._limits.keys_refresh_seconds:
            return False
        self._keys_refreshed_at = now
        renewed = self._keys.refresh()
        if renewed:
            self._verified.clear()  # a token whose key is gone is worth nothing any more
        return renewed

    async def _keep_house(self) -> None:
        self._refresh_keys()
        if await asyncio.to_thread(self._revocations.refresh) and self._revocations.value:
            self._revoked = self._revocations.value
        stale = self._revocations.value is not None and self._revoked.is_stale(self._clock.now())
        if stale and not self._alarmed_stale:
            log.error("the revocation list is stale; what it holds stays in force, and it refuses nobody anew")
        self._alarmed_stale = stale
        self._tell_pictures(self._clock.now())
        renewed = [name for name, guide in self._guides.items() if await asyncio.to_thread(guide.refresh)]
        for name in renewed:
            if told := self._guide_told(name):
                log.warning("%s", told)
        if renewed or self._clock.now() - self._schedules_at > self._limits.schedule_renewal_seconds:
            self._renew_schedules(self._clock.now())

    def _renew_schedules(self, now: float) -> None:
        start, stop = now - GUIDE_PAST_SECONDS_MAX - 3600, now + GUIDE_AHEAD_SECONDS_MAX + 3600
        schedules = {}
        for channel in self._channels.values():
            programmes = schedule.from_configuration(channel.programmes, self._timezone, start, stop)
            if channel.xmltv and (guide := self._guides[channel.xmltv].value):
                programmes += schedule.from_listings(guide.listings, xmltv_id(channel))
            schedules[channel.id] = schedule.between(schedule.schedule(programmes), start, stop)
        self._schedules, self._schedules_at = schedules, now
        self._channels_document = (0, b"")
        self._guide_documents.clear()


class _Watched(Generic[T]):
    """A file, or a folder of files, that another role replaces: read anew when it has changed. A broken one leaves the
    last good in force."""

    def __init__(self, path: Path, parse: Callable[[list[bytes]], T], bytes_max: int) -> None:
        self.value: T | None = None
        self.broken = False
        self.wrong = ""
        """Why it is broken."""
        self._path = path
        self._parse = parse
        self._bytes_max = bytes_max
        self._seen: list[tuple[str, int, int, int]] = []

    def _files(self) -> list[Path]:
        """Raises `FileNotFoundError` for a folder that was emptied, too: nobody who is in loses their right by that."""
        if not self._path.is_dir():
            return [self._path]
        if found := sorted(self._path.glob("*.json")):
            return found
        raise FileNotFoundError(self._path)

    def refresh(self) -> bool:
        """Whether there is a new value."""
        try:
            paths = self._files()
            stats = [(path.name, path.stat()) for path in paths]
            seen = [(name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats]
            if seen == self._seen:
                return False
            self._seen = seen
            if sum(stat.st_size for _, stat in stats) > self._bytes_max:
                raise RemoteProtocolError(f"larger than {self._bytes_max} bytes")
            self.value = self._parse([path.read_bytes() for path in paths])
        except FileNotFoundError:
            self.broken, self.wrong, self._seen = self.value is not None, "it is gone", []
            return False
        except (OSError, ProtocolError) as error:
            log.error("%s cannot be used; the last good one stays in force: %s", self._path.name, error)
            self.broken, self.wrong = True, str(error)
            return False
        self.broken = False
        return True


def _all_keys(documents: list[bytes]) -> cat.PublicKeys:
    return {kid: key for document in documents for kid, key in cat.read_jwks(document).items()}


def _revocations(documents: list[bytes]) -> Revocations:
    return read_revocations(documents[0])


def _guide(documents: list[bytes]) -> Guide:
    return read_guide(documents[0])


def _outcome(
    now: float, channel_id: str, reason: str = "", *, customer: str = "", step: str = "start-playback"
) -> Outcome:
    return Outcome(
        time=now,
        service="television",
        step=step,
        layer="streams",
        verdict="broken" if reason else "kept",
        reason=reason,
        customer=customer,
        dimensions={"channel": channel_id},
    )


def _switched(now: float, channel_id: str, *, opened: bool, by: str, reason: str) -> Outcome:
    """A channel was opened to everybody, or closed; `by`: `rule:fallback` or the name of a person."""
    return Outcome(
        time=now,
        service="television",
        step="open-channel" if opened else "close-channel",
        layer="streams",
        verdict="kept",
        reason=reason,
        dimensions={"channel": channel_id, "by": by},
    )


def _error(status: Literal[403, 404, 503], error: str, message: str) -> PlayoutResponse:
    fields: dict[str, object] = {"error": error, "message": message}
    if status == 503:
        fields["retry_after_s"] = RETRY_AFTER_SECONDS
    return PlayoutResponse(status, "error", msgspec.json.encode(fields))


RETRY_AFTER_SECONDS = 2
_NOT_FOUND = _error(404, "not-found", "there is no such channel or segment here")


def _read_gone(path: Path) -> list[str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except (OSError, msgspec.DecodeError):
        return []


def _read_fallback(path: Path) -> Fallback:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Fallback)
    except (OSError, msgspec.DecodeError):
        return Fallback()
