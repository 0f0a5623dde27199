"""`stoa import residents`: ten thousand at once, twice without a change, and a bad file that costs nothing but its bad records."""
import csv

import pytest

from harness.residents import COLUMNS, residents, write_csv

RESIDENTS = 10_000


def register_size(server):
    with server.connect() as connection:
        return connection.execute("SELECT (SELECT count(*) FROM register.resident WHERE origin = 'population_register'), "
                                  "(SELECT count(*) FROM register.sealed_attribute), "
                                  "(SELECT md5(string_agg(sealed_value::text, '' ORDER BY resident_id, attribute)) FROM register.sealed_attribute)"
                                  ).fetchone()


def test_ten_thousand_twice(server, tmp_path):
    file = write_csv(tmp_path / "residents.csv", residents(RESIDENTS, seed=1))
    before = register_size(server)[0]
    first = server.run("import", "residents", file)
    assert f"{RESIDENTS}" in digits(first.stdout + first.stderr)
    loaded = register_size(server)
    assert loaded[0] - before == RESIDENTS
    server.run("import", "residents", file)
    assert register_size(server) == loaded, "a second run changed something"


def test_a_changed_record_is_replaced(server, tmp_path):
    rows = list(residents(3, seed=2))
    server.run("import", "residents", write_csv(tmp_path / "residents.csv", rows))
    before = register_size(server)
    rows[1]["locality"] = "Hill Town"
    server.run("import", "residents", write_csv(tmp_path / "residents.csv", rows))
    after = register_size(server)
    assert after[0] == before[0] and after[2] != before[2]


def digits(text):
    return text.replace(",", "").replace(" ", "").replace("\u202f", "").replace("_", "")


def bad_file(path):
    """Good records among bad ones. Returns the lines (from 1) of the bad ones, and how many are good."""
    rows = list(residents(12, seed=3))
    rows[0]["given_names"] = "Zoë <script>alert(1)</script> A\u0301"   # markup and a combining mark are data
    rows[2]["national_number"] = rows[2]["national_number"][:-1] + str((int(rows[2]["national_number"][-1]) + 1) % 10)
    rows[4]["date_of_birth"] = "1987-02-30"
    rows[5]["date_of_birth"] = "2091-01-01"
    rows[7]["family_name"] = "x" * 5_000
    rows[8]["given_names"] = ""
    rows[9]["family_name"] = "O’Brien-\u202eevil"
    write_csv(path, rows)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b"\r\n", b",extra,fields\r\n")                 # rows[6]
    lines.append(b'990101,Too,Few\r\n')
    lines.append(",".join(["", "No", "Number", "1990-01-01", "", "", "", "", "", "en"]).encode() + b"\r\n")
    good = list(residents(1, seed=4))[0]
    lines.append(",".join([good["national_number"], "Ren\u00e9"] + ["x"] * 8).encode("latin-1") + b"\r\n")
    lines.append(",".join([good["national_number"], "N\x00ul"] + ["x"] * 8).encode() + b"\r\n")
    lines.append(lines[2])                                                      # rows[1] once more
    lines.append(b'"unfinished')
    path.write_bytes(b"".join(lines))
    return [4, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19], 12 - 7


def test_a_bad_file_loses_nothing(server, tmp_path):
    file = tmp_path / "bad.csv"
    lines, good = bad_file(file)
    before = register_size(server)[0]
    done = server.run("import", "residents", file, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert register_size(server)[0] - before == good, said
    for line in lines:
        assert f"line {line}" in said.lower() or f":{line}:" in said, f"line {line} is not reported:\n{said}"
    rejected = list(tmp_path.glob("*.rejected.csv")) or list(file.parent.glob("bad*.rejected.csv"))
    assert len(rejected) == 1, list(tmp_path.iterdir())
    kept = rejected[0].read_bytes()
    for piece in (b"1987-02-30", b"2091-01-01", b"extra,fields", b"990101,Too,Few", b"N\x00ul", b"x" * 5_000):
        assert piece in kept, f"{piece[:20]!r} is not in the rejected file"
    assert not any(row.get("date_of_birth") == "1990-01-01" and row.get("national_number") for row in
                   csv.DictReader(kept.replace(b"\0", b"").decode("utf-8", "replace").splitlines()))


@pytest.mark.parametrize("content", [b"", b"name,age\nA,1\n", ",".join(COLUMNS).encode() + b"\n"])
def test_files_without_residents(server, tmp_path, content):
    file = tmp_path / "empty.csv"
    file.write_bytes(content)
    done = server.run("import", "residents", file, check=False)
    assert done.returncode in ((0, 1) if content.count(b"\n") == 1 and content.startswith(b"national") else (1, 2, 64, 65, 66))
    assert "Fatal" not in done.stderr


def test_a_file_that_is_not_there(server, tmp_path):
    done = server.run("import", "residents", tmp_path / "none.csv", check=False)
    assert done.returncode != 0 and "none.csv" in done.stderr + done.stdout
