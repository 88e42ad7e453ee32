"""A day's work with many studies: states, filters that can be linked, cancelling, another series, tables, languages."""

import csv
import io
import re
import zipfile
from html import unescape
from pathlib import Path

import pydicom
import pytest

from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, Phrase, messages
from trabecula.serving.demo import PROTOCOL
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

from .conftest import Server, Start, until

WEB_MD = Path(__file__).parents[3] / "docs" / "web.md"


def text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))


def labels(server: Server, query: str = "") -> list[str]:
    page = server.client.get(f"/?{query}").text
    return re.findall(r'<th scope="row"><a href="/studies/[^"]*">([^<]*)</a>', page)


def post(server: Server, path: str, **fields: str) -> int:
    return server.client.post(path, data={"csrf": server.csrf(), **fields}).status_code


def upload(server: Server, path: Path, label: str, recipe: str = "stub") -> str:
    fields = {"csrf": server.csrf(), "label": label, "recipe": recipe}
    sent = [("files", (path.name, path.read_bytes()))]
    answer = server.client.post("/studies", data=fields, files=sent, headers={"accept": "application/json"})
    study = str(answer.json()["id"])
    server.wait(study)
    return study


@pytest.fixture(scope="module")
def work(server: Server, cylinder_nifti: Path, not_hounsfield: Path) -> dict[str, str]:
    """Five studies: to check, checked, signed, measured in another unit, refused."""
    made = {name: upload(server, cylinder_nifti, name) for name in ("open", "checked", "signed")}
    made["areal"] = upload(server, cylinder_nifti, "areal", "stub-areal")
    made["refused"] = upload(server, not_hounsfield, "refused")
    for name in ("checked", "signed"):
        assert post(server, f"/studies/{made[name]}/corrections", version="1", confirm="yes", by="ada") == 303
    assert post(server, f"/studies/{made['signed']}/acts", version="2", what="signed", by="ada", sure="yes") == 303
    return made


def test_a_result_stands_with_those_who_looked_at_it(server: Server, work: dict[str, str]) -> None:
    page = server.client.get(f"/studies/{work['signed']}").text
    assert "Signed by ada" in text(page)
    assert labels(server, "state=to-check") == ["areal", "open"]
    assert labels(server, "state=checked") == ["checked"] and labels(server, "state=signed") == ["signed"]
    assert labels(server, "state=refused") == ["refused"]
    assert (
        post(server, f"/studies/{work['signed']}/corrections", version="2", **{"exclude-L1": "other"}, by="bob") == 303
    )
    assert "signed" not in labels(server, "state=signed")  # what was signed is not what stands there now
    assert post(server, f"/studies/{work['signed']}/acts", version="2", what="signed", by="ada") == 409


def test_filters_and_search_keep_the_order_and_can_be_linked(server: Server, work: dict[str, str]) -> None:
    assert labels(server, "sort=label&order=up") == ["areal", "checked", "open", "refused", "signed"]
    assert labels(server, "sort=label&order=down&words=e&category=osteopenia") == labels(
        server, "words=e&category=osteopenia&order=down&sort=label"
    )
    page = server.client.get("/?words=e&sort=label&order=up&state=to-check").text
    assert 'name="sort" value="label"' in page and 'name="words" type="search" value="e"' in page
    assert "words=e&amp;state=to-check&amp;sort=received&amp;order=down" in page  # another order, the same studies
    assert labels(server, "doubt=not-hounsfield-units") == ["refused"]
    assert set(labels(server, "doubt=any")) | set(labels(server, "doubt=none")) == {
        "open",
        "checked",
        "signed",
        "areal",
    }
    today = server.client.get("/studies/" + work["open"]).text.partition('<time datetime="')[2][:10]
    assert len(labels(server, f"since={today}&until={today}&offset=0")) == 5
    assert labels(server, "until=2020-01-01") == [] and labels(server, "since=2999-01-01") == []


def test_previous_and_next_follow_the_list_one_came_from(server: Server, work: dict[str, str]) -> None:
    query = "state=to-check&sort=label&order=up"
    page = unescape(server.client.get(f"/studies/{work['areal']}?{query}").text)
    assert f'rel="next" href="/studies/{work["open"]}?{query}"' in page and 'rel="prev"' not in page
    assert f'href="/?{query}"' in page


def test_densities_of_two_units_are_in_one_order_nowhere(server: Server, work: dict[str, str]) -> None:
    for order in ("up", "down"):
        kinds = [label == "areal" for label in labels(server, f"sort=bmd&order={order}") if label != "refused"]
        assert kinds in ([True, False, False, False], [False, False, False, True])
    cohort = text(server.client.get("/cohort").text)
    assert re.search(r"mg/cm³ K2HPO4 not recorded 3 ", cohort) and re.search(r"g/cm² not recorded 1 0\.812 - ", cohort)


def test_many_studies_are_removed_at_once_and_only_when_sure(server: Server, cylinder_nifti: Path) -> None:
    made = [upload(server, cylinder_nifti, f"many {n}") for n in range(2)]
    chosen = {f"study-{study}": "yes" for study in made}
    asked = server.client.post("/bulk", data={"csrf": server.csrf(), "what": "remove", "words": "many", **chosen})
    assert asked.status_code == 200 and "many 0" in asked.text and "many 1" in asked.text
    assert len(labels(server, "words=many")) == 2
    sure = {"csrf": server.csrf(), "what": "remove", "words": "many", "sure": "yes", **chosen}
    assert server.client.post("/bulk", data=sure).headers["location"] == "/?words=many"
    assert labels(server, "words=many") == []
    assert not any((server.data / "studies" / study).exists() for study in made)


def test_a_study_is_cancelled_while_it_waits_or_runs_and_tried_again(start: Start, cylinder_nifti: Path) -> None:
    server = start()
    server.hold.touch()
    running, waiting, other = (server.upload(cylinder_nifti, label=one) for one in ("running", "waiting", "other"))
    until(lambda: server.state(running)["state"] == "running")
    assert server.state(waiting)["left"] == ""  # nothing is known yet of how long one takes
    for study in (waiting, running):
        assert post(server, f"/studies/{study}/cancellation") == 303
    assert [server.state(one)["state"] for one in (running, waiting)] == ["cancelled", "cancelled"]
    until(lambda: server.state(other)["state"] == "running")  # the worker ended with what it was at, and began anew
    server.hold.unlink()
    assert server.wait(other) == "done"
    assert "The screening was cancelled" in server.client.get(f"/studies/{running}").text
    assert post(server, f"/studies/{running}/retrial", recipe="stub-classes") == 303
    assert server.wait(running) == "done"
    assert post(server, f"/studies/{running}/retrial") == 400  # it has a result


@pytest.fixture(scope="module")
def two_series(cylinder: Volume, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One study of two series: every slice, and the middle ones."""
    folder = tmp_path_factory.mktemp("series")
    write_dicom(cylinder, folder / "a", seed=0, header=header_of(sample_subject(0), PROTOCOL))
    first = sorted((folder / "a").iterdir(), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    (folder / "b").mkdir()
    uid = pydicom.uid.generate_uid()
    for path in first[10:40]:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesNumber = uid, 7
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        dataset.save_as(folder / "b" / f"other-{path.name}")
    return [*first, *sorted((folder / "b").iterdir())]


def test_another_series_of_the_upload_is_a_study_of_its_own_and_kept_once(
    server: Server, two_series: list[Path]
) -> None:
    study = server.upload(*two_series, label="both series")
    assert server.wait(study) == "done"
    until(lambda: not (server.data / "studies" / study / "ct").exists())  # it is kept packed
    page = text(server.client.get(f"/studies/{study}/again").text)
    assert "60 slices every 3 mm" in page and "Series 7: 30 slices every 3 mm" in page
    choices = re.findall(r'name="choice" value="(\d+:\d+)"', server.client.get(f"/studies/{study}/again").text)
    other = next(one for one in choices if one != choices[0])
    made = server.client.post(
        f"/studies/{study}/again", data={"csrf": server.csrf(), "choice": other, "recipe": "stub"}
    )
    again = made.headers["location"].rpartition("/")[2]
    assert server.wait(again) == "done"
    shapes = {
        server.client.get(f"/studies/{one}/versions/1/files/assessment.json").json()["scan"]["shape_zyx"][0]
        for one in (study, again)
    }
    assert shapes == {60, 30}
    files = [server.data / "studies" / one / "ct.zip" for one in (study, again)]
    assert files[0].samefile(files[1])
    assert post(server, f"/studies/{study}/removal", sure="yes") == 303 and files[1].exists()
    assert post(server, f"/studies/{again}/again", choice="9:9") == 400


def test_the_cohort_is_a_table_with_a_row_for_each_vertebra(server: Server, work: dict[str, str]) -> None:
    from pyarrow import parquet

    assert post(server, f"/studies/{work['open']}/label", label="=HYPERLINK(1)") == 303
    table = server.client.get("/cohort/vertebrae.csv?words=hyperlink")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["level"] for row in rows] == ["T12", "L1", "L2"]
    assert {row["label"] for row in rows} == {"'=HYPERLINK(1)"}  # no spreadsheet takes it for a formula
    told = server.client.get(f"/studies/{work['open']}/versions/1/files/assessment.json").json()
    assert [float(row["density"]) for row in rows] == [one["density"]["value"] for one in told["vertebrae"]]
    interval = [float(rows[0][f"result_density_{end}"]) for end in ("low", "high")]
    assert interval == told["diagnosis"]["density"]["interval"]
    assert rows[0]["check_first"] == told["check_first"]["code"]
    columns = WEB_MD.read_text().partition("## The cohort")[2]
    assert [name for name in rows[0] if f"`{name}`" not in columns] == []
    sent = io.BytesIO(server.client.get("/cohort/vertebrae.parquet").content)
    whole = parquet.ParquetFile(sent).read(use_threads=False)
    assert set(whole.schema.names) == set(rows[0]) and whole.schema.field("density").type == "double"
    assert set(whole["unit"].to_pylist()) == {"mg/cm3", "g/cm2", None}
    post(server, f"/studies/{work['open']}/label", label="open")


def test_readers_are_held_against_the_program_and_each_other(server: Server, work: dict[str, str]) -> None:
    page = text(server.client.get("/cohort").text)
    assert re.search(r"Trabecula / ada 2 2 \S 2 \+0\.0 mg/cm³ \(\+0\.0 … \+0\.0\), n = 2", page)  # confirmed twice
    asked = {"version": "2", "exclude-L2": "other", "by": "carol"}
    assert post(server, f"/studies/{work['checked']}/corrections", **asked) == 303
    page = text(server.client.get("/cohort").text)
    assert "Trabecula / carol 1 " in page and "ada / carol 1 " in page


def test_an_empty_cohort_says_so_and_has_an_empty_table(start: Start) -> None:
    server = start()
    assert "There is no result yet" in server.client.get("/cohort").text
    assert len(server.client.get("/cohort/vertebrae.csv").text.splitlines()) == 1


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {DEFAULT_LANGUAGE}))
def test_every_page_speaks_every_language(server: Server, work: dict[str, str], language: str) -> None:
    told, spoken = messages(language), {"accept-language": f"{language},en;q=0.5", "accept": "text/html"}
    english = {one for key, one in messages("en").items() if key.startswith("web-") and len(one.split()) > 3}
    for path in (
        "/",
        "/cohort",
        "/tokens",
        "/login",
        "/nowhere",
        f"/studies/{work['open']}",
        f"/studies/{work['signed']}",
        f"/studies/{work['refused']}",
    ):
        page = server.client.get(path, headers=spoken).text
        assert f'<html lang="{told["html-language"]}"' in page, path
        for key in ("web-skip", "web-nothing-leaves", "research-only", "no-ruling-out"):
            assert told[key] in unescape(page), path
        assert [one for one in english if "{" not in one and one in unescape(page)] == [], path
    signed = text(server.client.get(f"/studies/{work['signed']}", headers=spoken).text)
    assert Phrase("change-confirmed", {"levels": ("T12", "L1", "L2")}).told(language) in signed
    refusal = server.client.post("/bulk", data={"csrf": server.csrf()}, headers={"accept-language": language}).json()
    assert (refusal["code"], refusal["message"]) == ("nothing-chosen", told["web-nothing-chosen"])


def test_the_language_is_kept_in_the_browser(start: Start) -> None:
    server = start()
    asked = {"csrf": server.csrf(), "language": "zh", "back": "/cohort"}
    assert server.client.post("/language", data=asked).headers["location"] == "/cohort"
    assert '<html lang="zh' in server.client.get("/").text
    away = server.client.post("/language", data={**asked, "back": "//elsewhere.example"})
    assert away.headers["location"] == "/"


def test_what_was_asked_stays_in_the_form_after_an_error(server: Server, work: dict[str, str]) -> None:
    asked = {
        "version": "1",
        "seen": "1",
        "name-L1": "L5",
        "exclude-T12": "fracture",
        "by": "ada",
        "csrf": server.csrf(),
    }
    page = server.client.post(f"/studies/{work['open']}/corrections", data=asked, headers={"accept": "text/html"})
    assert page.status_code == 400 and "levels-out-of-order" in page.text
    form = page.text.partition('id="correction"')[2].partition("</form>")[0]
    chosen = re.findall(r'<option (?:value="([^"]*)" )?selected>([^<]*)', form)
    assert ("", "L5") in chosen and "fracture" in [value for value, _ in chosen] and 'value="ada"' in form
    assert 'name="shift" value="yes" >' in form  # it was not ticked


def test_two_readers_at_once_lose_neither_work(server: Server, cylinder_nifti: Path) -> None:
    study = upload(server, cylinder_nifti, "both")
    first = {"version": "1", "seen": "1", "exclude-L1": "other", "by": "ada"}
    second = {"version": "1", "seen": "1", "exclude-L2": "fracture", "by": "bob"}
    assert post(server, f"/studies/{study}/corrections", **first) == 303
    late = server.client.post(
        f"/studies/{study}/corrections", data={"csrf": server.csrf(), **second}, headers={"accept": "text/html"}
    )
    assert late.status_code == 409 and "ada has kept version 2 meanwhile" in text(late.text)
    assert 'id="anyway" >' in late.text and 'value="fracture" selected' in late.text
    assert post(server, f"/studies/{study}/corrections", anyway="yes", **second) == 303
    assert len(re.findall(r"/versions/\d\">Version", server.client.get(f"/studies/{study}").text)) == 3


def test_files_of_the_viewer_are_packed_kept_by_browsers_and_asked_for(server: Server, work: dict[str, str]) -> None:
    here = f"/studies/{work['open']}"
    for path in (f"{here}/view/spine.nii", f"{here}/versions/1/labels.nii"):
        answer = server.client.get(path)
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["cache-control"] == "private, no-cache"
        again = server.client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304 and again.content == b""
        plain = server.client.get(path, headers={"accept-encoding": "identity"})
        assert plain.content == answer.content and "content-encoding" not in plain.headers
    script = server.client.get("/static/viewer.js")
    assert script.headers["content-encoding"] == "gzip" and "immutable" in script.headers["cache-control"]
    assert "content-encoding" not in server.client.get("/").headers  # pages hold a secret beside what was searched


def test_the_whole_ct_is_unfolded_when_asked_for_and_not_kept_for_ever(server: Server, cylinder_nifti: Path) -> None:
    made = [upload(server, cylinder_nifti, f"whole {n}") for n in range(4)]
    for study in made:
        assert server.client.get(f"/studies/{study}/view/ct.nii").status_code == 202
        until(lambda study=study: server.client.get(f"/studies/{study}/view/ct.nii?wait=1").status_code == 200)
    kept = [(server.data / "studies" / study / "view" / "ct.nii.gz").exists() for study in made]
    assert kept == [False, True, True, True]


def test_page_and_scripts_weigh_less_than_three_megabytes(server: Server, work: dict[str, str]) -> None:
    page = server.client.get(f"/studies/{work['open']}").text
    own = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    weight = len(page.encode())
    for path in own:
        with server.client.stream("GET", path) as answer:
            weight += sum(len(piece) for piece in answer.iter_raw())
    assert weight < 3_000_000


def test_an_upload_of_slices_is_kept_packed_as_it_came(server: Server, two_series: list[Path]) -> None:
    study = server.upload(*two_series[:60], label="storage")
    assert server.wait(study) == "done"
    folder = server.data / "studies" / study
    until(lambda: not (folder / "ct").exists())
    with zipfile.ZipFile(folder / "ct.zip") as kept:
        assert [kept.read(name) for name in sorted(kept.namelist())] == [path.read_bytes() for path in two_series[:60]]
    assert post(server, f"/studies/{study}/corrections", version="1", **{"exclude-L1": "other"}, by="ada") == 303
    assert server.wait_for_files(study) == "ready"
    objects = zipfile.ZipFile(io.BytesIO(server.client.get(f"/studies/{study}/versions/2/files/dicom.zip").content))
    assert {"seg.dcm", "sr.dcm"} <= set(objects.namelist())  # made of what was packed
    assert not (server.data / "work" / f"{study}.zip").exists()
    view = folder / "view"
    assert all(path.suffix == ".gz" for path in view.iterdir())
