"""What the page says, in Norwegian (bokmål), Swedish and English."""

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "nb": {
        "title": "Fikk du en melding som ikke var til deg?",
        "lead": "Si fra her. Skriv ikke hva som sto i den, og slett den gjerne. Vi undersøker om meldinger havner"
        " feil.",
        "number": "Nummeret til telefonen som fikk meldingen",
        "hint": "Med landkode, for eksempel +47 900 00 000",
        "send": "Si fra",
        "done": "Takk. Vi ser på det. Du trenger ikke gjøre mer.",
        "bad": "Dette er ikke et telefonnummer som vi sender meldinger til.",
        "kept": "Nummeret brukes til å finne ut hvilken vei meldingen kom, og lagres ikke sammen med det du sier.",
    },
    "sv": {
        "title": "Fick du ett meddelande som inte var till dig?",
        "lead": "Säg till här. Skriv inte vad som stod i det, och ta gärna bort det. Vi undersöker om"
        " meddelanden hamnar fel.",
        "number": "Numret till telefonen som fick meddelandet",
        "hint": "Med landsnummer, till exempel +46 70 000 00 00",
        "send": "Säg till",
        "done": "Tack. Vi tittar på det. Du behöver inte göra mer.",
        "bad": "Detta är inte ett telefonnummer som vi skickar meddelanden till.",
        "kept": "Numret används för att ta reda på vilken väg meddelandet kom, och sparas inte tillsammans med det du"
        " säger.",
    },
    "en": {
        "title": "Did you get a message that was not for you?",
        "lead": "Tell us here. Do not write what it said, and feel free to delete it. We check whether messages go"
        " astray.",
        "number": "The number of the phone that got the message",
        "hint": "With its country code, such as +47 900 00 000",
        "send": "Tell us",
        "done": "Thank you. We are looking into it. You need not do more.",
        "bad": "This is not a phone number to which we send messages.",
        "kept": "The number is used to find out which way the message came, and is not kept with what you say.",
    },
}
