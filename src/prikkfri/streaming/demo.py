"""The demo's channels: invented names, a whole day's programmes, and a match at 21:00 each evening."""

from datetime import datetime, timedelta

from prikkfri.config import Channel, Programme

FALLBACK = "sport"
"""The channel that opens when sign-in does not answer: the one with the match."""

_HARBOUR = """
00:10 Nattradio med bilder        | Rolig musikk og havnelys til langt på natt.
05:50 Morgenværet                 | Vind, bølger og temperatur langs hele kysten.
06:30 God morgen fra kaia         | Nyheter, gjester og dagens første kopp kaffe.
09:30 Båtbyggerne                 | En snekke fra 1934 skal på vannet igjen. Del 4 av 6.
10:30 Fjellheimen fra lufta       | Over Hardangervidda med drone og god tid.
11:30 Lunsjnytt                   | Det viktigste så langt i dag.
12:00 Kjøkkenbenken               | Torsk på fire måter, og en saus som tåler alt.
13:00 Språkstund                  | Hvor kommer ordet «dugnad» fra?
13:30 Hagen i nord                | Hva kan vokse bak et drivhusglass i november?
14:30 Båtbyggerne                 | Reprise.
15:30 Ettermiddag                 | Samtaler, musikk og det som skjer rundt i landet.
17:30 Barnas brygge               | Måken Mons leter etter en bortkommen støvel.
18:00 Distriktsrunden             | Fra Varanger til Lista på en halvtime.
18:30 Forbrukerkvarten            | Hvem betaler når tjenesten er nede?
19:00 Kveldsnytt                  | Nyheter fra inn- og utland, og været.
19:45 Fyrvokterne                 | Dokumentar. Den siste vinteren på Ytterskjær fyr.
20:40 Quiz på kaikanten           | To lag, én planke.
21:30 Nattfergen                  | Krimserie. En passasjer for lite går i land. Del 3 av 8.
22:25 Kveldsnytt                  | Dagens siste sending.
22:50 Film: Over isen             | En postfører, en hund og en vinter uten ende.
"""
_SPORT = """
00:00 Kampen i reprise            | Kveldens kamp én gang til, uten opphold.
02:00 Klassikere                  | Store kamper fra små baner.
06:00 Sportsmorgen                | Resultater, skader og overganger.
09:00 Langrenn: mosjonistene      | Femti kilometer med de bakerste i løypa.
10:30 Håndball: Lyngvåg – Storeidet | Serierunde 11, opptak.
12:15 Sjakk: hurtig finale        | Sju minutter på klokka, null minutter i buffer.
13:30 Ishockey: Jernverket – Isfjell | Serierunde 18, opptak.
15:45 Friluft                     | Topptur med lett sekk.
16:30 Ungdomsbanen                | Fotball fra kretsene, kommentert av dem som spilte sist.
18:00 Sportsrunden                | Alt fra dagen på en time.
19:00 Håndball: Nordvær – Bakkeby | Direkte fra Nordværhallen.
20:30 Oppkjøring                  | Lagoppstillinger, vær og gjester før avspark.
21:00 Fotball: Fjordvik – Skogheim | Direkte. Avspark klokken 21.00 på Fjordvik stadion.
22:55 Etter kampen                | Mål, intervjuer og tabellen slik den står i kveld.
23:30 Sportsnytt                  | Kveldens resultater.
"""
_SQUARE = """
00:00 Bytorget direkte            | Kameraet over torget, hele natten.
06:00 Åpen morgen                 | Frivillige redaksjoner våkner sammen med byen.
08:00 Skolefjernsyn               | Matematikk, naturfag og et egg som skal overleve et fall.
11:00 Konsert på biblioteket      | Strykekvartett mellom hyllene.
12:30 Kommunestyret               | Møtet i går, i sin helhet.
15:00 Tegnspråknytt               | Dagens nyheter på norsk tegnspråk.
15:30 Foreningstimen              | Kor, korps og frimerker.
17:00 Dugnad                      | Slik kom gapahuken på plass.
18:00 Ung åpen                    | Laget av skoleklasser.
19:30 Lokalt kveldsnytt           | Fra torget og gatene rundt.
20:00 Folkemøtet                  | Beredskap: hva gjør vi når alt er nede samtidig?
21:30 Kveldsåpent                 | Den som vil, får slippe til.
23:00 Dikt før midnatt            | Fem minutter hver, av dem som skrev dem.
"""


def channels() -> tuple[Channel, ...]:
    return (
        Channel(id="havn", name="Havn", number=1, colour="#2f80ed", package="basic", programmes=_day(_HARBOUR)),
        Channel(id="sport", name="Bane Sport", number=2, colour="#19a974", package="sport", programmes=_day(_SPORT)),
        Channel(
            id="torget", name="Torget", number=3, colour="#f2994a", package="basic", open=True, programmes=_day(_SQUARE)
        ),
    )


def _day(table: str) -> tuple[Programme, ...]:
    """A line for each programme: `HH:MM title | description`; each lasts until the next."""
    rows = [line.partition("|") for line in table.strip().splitlines()]
    starts = [datetime.strptime(head[:5], "%H:%M") for head, _, _ in rows]  # noqa: DTZ007  # a time of day
    stops = [*starts[1:], starts[0] + timedelta(days=1)]
    return tuple(
        Programme(
            title=head[5:].strip(),
            start=head[:5],
            minutes=(stop - start).total_seconds() / 60,
            description=description.strip(),
        )
        for (head, _, description), start, stop in zip(rows, starts, stops, strict=True)
    )
