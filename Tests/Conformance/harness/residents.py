"""Makes population-register extracts for `stoa import residents`: made-up persons with valid national numbers."""
import csv
import random

COLUMNS = ["national_number", "given_names", "family_name", "date_of_birth", "street", "postcode", "locality", "phone", "email",
           "preferred_language"]
# Several scripts, combining marks, and names that are markup: all of them are data.
GIVEN = ["Amina", "Валерій", "Zoë", "José María", "Nguyễn", "لیلی", "محمد", "さくら", "Ngũgĩ", "Siobhán", "<b>Ana</b>", "O'Neil"]
FAMILY = ["Mwangi", "Семенченко", "Ouédraogo", "D’Arcy", "العلي", "山田", "van der Berg", "& Sons", "Ǹdé́", "Kılıç"]
LANGUAGES = ["en", "fr", "ar", "sw", "uk"]


def check_digit(digits):
    """Luhn (ISO/IEC 7812-1 Annex B) over the eleven digits before it."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def residents(count, seed):
    """`count` different persons; the same ones for the same seed. Seeds differ in all national numbers."""
    chance = random.Random(seed)
    for number in range(count):
        year, month, day = chance.randint(1930, 2012), chance.randint(1, 12), chance.randint(1, 28)
        # The serial is unique within a seed, so the number is, whatever the date.
        digits = f"{year % 100:02}{month:02}{day:02}{(seed * 20011 + number) % 100000:05}"
        has_phone, has_email = chance.random() < 0.8, chance.random() < 0.6
        yield {
            "national_number": digits + check_digit(digits),
            "given_names": chance.choice(GIVEN), "family_name": chance.choice(FAMILY),
            "date_of_birth": f"{year:04}-{month:02}-{day:02}",
            "street": f"{chance.randint(1, 300)}, rue \"du Port\", apt {number}", "postcode": f"{chance.randint(10000, 99999)}",
            "locality": "Harbour Town", "phone": f"+2547{chance.randint(10000000, 99999999)}" if has_phone else "",
            "email": f"resident{seed}-{number}@example.org" if has_email else "", "preferred_language": chance.choice(LANGUAGES),
        }


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path
