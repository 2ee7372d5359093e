"""Facts on countries against ordinary libraries: Babel (CLDR) for languages and currencies, country_converter for the rest.

Where atlas and a library differ, the difference stands here with its reason; anything else fails.
"""

import csv
import datetime
import re
from importlib import resources

import pytest
from babel import Locale
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies

from kelbench.data.atlas.sources import read_sources

# CLDR's name -> that of atlas.
LANGUAGE_NAMES = {
    "Persian": "Dari", "Bangla": "Bengali", "Chinese": "Mandarin Chinese", "Divehi": "Dhivehi", "Māori": "Maori",
    "Southern Sotho": "Sotho", "Slovenian": "Slovene", "Central Atlas Tamazight": "Berber",
    "Norwegian Bokmål": "Norwegian", "Norwegian Nynorsk": "Norwegian",
}  # fmt: skip
# Official by its constitution or law; CLDR marks it as regional or not at all.
OFFICIAL_ALL_THE_SAME = {
    "algeria": {"Berber"}, "bolivia": {"Guarani"}, "iraq": {"Kurdish"}, "north-macedonia": {"Albanian"},
"rwanda": {"Swahili"}, "united-kingdom": {"English"}, "greece": {"Greek"},
    "south-africa": {"Afrikaans", "Xhosa", "Zulu", "Tswana", "Sotho"}, "zimbabwe": {"Sotho", "Xhosa", "Tswana"},
}  # fmt: skip
# Lost its standing, is official in a part alone, or never was by law; CLDR still names it.
NOT_OFFICIAL = {
    "algeria": {"French"}, "burkina-faso": {"French"}, "ecuador": {"Quechua"}, "israel": {"Arabic"},
    "madagascar": {"English"}, "mali": {"French"}, "montenegro": {"Serbian"}, "morocco": {"French"},
    "niger": {"French"}, "nigeria": {"Yoruba"}, "tunisia": {"French"}, "ukraine": {"Russian"},
    "botswana": {"Tswana"}, "eritrea": {"Arabic", "English", "Tigrinya"}, "peru": {"Quechua"},
}  # fmt: skip
# Bulgaria's euro is younger than CLDR's table; the dollar is legal tender in Liberia, and in Haiti only accepted.
OTHER_TENDER = {"bulgaria": {"EUR"}, "liberia": {"USD"}}
NO_TENDER = {"haiti": {"USD"}}


@pytest.fixture(scope="module")
def atlas():
    return read_sources()


@pytest.fixture(scope="module")
def tails(atlas):
    found = {}
    for head, relation, tail in atlas.facts:
        found.setdefault((head, relation), set()).add(tail)
    return found


@pytest.fixture(scope="module")
def countries(atlas):
    """Country -> its row in country_converter's table, found by the table's own patterns."""
    path = resources.files("country_converter") / "country_data.tsv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    found = {}
    for entity in atlas.entities.values():
        if entity.kind == "country":
            exact = [row for row in rows if row["name_short"] == entity.label]
            matching = exact or [row for row in rows if re.search(row["regex"], entity.label, re.IGNORECASE)]
            assert len(matching) == 1, (entity.id, [row["name_short"] for row in matching])
            found[entity.id] = matching[0]
    # The table writes ^GB$|^UK$ where two codes are in use; the first is ISO's.
    for row in found.values():
        row["ISO2"] = re.findall("[A-Z]{2}", row["ISO2"])[0]
    assert len({row["ISO2"] for row in found.values()}) == len(found)
    return found


@pytest.mark.parametrize(
    ("column", "organisation"),
    [("UNmember", "united-nations"), ("EU27", "european-union"), ("OECD", "oecd"), ("G7", "g7"), ("CIS", None)],
)
def test_members(countries, tails, column, organisation):
    organisation = organisation or "commonwealth-of-independent-states"
    expected = {country for country, row in countries.items() if row[column]}
    ours = {country for country in countries if organisation in tails.get((country, "member_of"), ())}
    # The table's field is empty for one founding member.
    missing_there = {"kyrgyzstan"} if column == "CIS" else set()
    assert ours == expected | missing_there


def test_continents_and_subregions(countries, tails):
    for country, row in countries.items():
        continents = tails[country, "continent"]
        allowed = {"north-america", "south-america"} if row["continent"] == "America" else {row["continent"].lower()}
        assert continents & allowed, (country, continents)
        region = re.sub(r"[^a-z]+", "-", row["UNregion"].lower())
        if region == "south-america" or country == "nauru":  # the continent itself; an error of the table
            continue
        regions = tails.get((country, "part_of_region"), set())
        assert {region, f"{region}-region"} & regions, (country, region, regions)


def test_official_languages(atlas, countries, tails):
    english = Locale("en")
    labels = {entity.label for entity in atlas.entities.values() if entity.kind == "language"}
    for country, row in countries.items():
        ours = {atlas.entities[tail].label for tail in tails.get((country, "official_language"), ())}
        codes = get_official_languages(row["ISO2"], regional=False, de_facto=True)
        names = {english.languages.get(code.split("_")[0], code) for code in codes}
        theirs = {LANGUAGE_NAMES.get(name, name) if name not in ours else name for name in names}
        assert ours - theirs <= OFFICIAL_ALL_THE_SAME.get(country, set()), country
        assert (theirs - ours) & labels <= NOT_OFFICIAL.get(country, set()), country


def test_currencies(atlas, countries, tails):
    """By ISO code, which is an alias of each currency."""
    known = set(Locale("en").currencies)
    code_of = {
        entity.id: [alias for alias in atlas.aliases.get(entity.id, []) if alias in known]
        for entity in atlas.entities.values()
        if entity.kind == "currency"
    }
    assert not [currency for currency, codes in code_of.items() if len(codes) != 1]
    for country, row in countries.items():
        ours = {code_of[tail][0] for tail in tails.get((country, "currency"), ())}
        theirs = set(get_territory_currencies(row["ISO2"], start_date=datetime.date(2025, 1, 1), tender=True))
        assert not ours - theirs - OTHER_TENDER.get(country, set()), (country, ours, theirs)
        missing = (theirs - ours) & {codes[0] for codes in code_of.values()}
        assert not missing - NO_TENDER.get(country, set()), (country, ours, theirs)
