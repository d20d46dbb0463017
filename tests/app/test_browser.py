"""The page as a person uses it, in a real browser with mouse and keys; results are read from the files it writes."""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect, sync_playwright

from morphtools.anomalies.ratings import Ratings
from morphtools.app.server import serve

expect.set_options(timeout=60_000)  # for a busy machine; nothing here is timed
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome is on the PATH to open the page with"
)
# to make the pictures of the tutorial again: MORPHTOOLS_SCREENSHOTS=examples/screenshots
SCREENSHOTS = os.environ.get("MORPHTOOLS_SCREENSHOTS") and str(Path(os.environ["MORPHTOOLS_SCREENSHOTS"]).absolute())


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Opens pages of one browser; checks at the end that no script failed and no policy was violated."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    errors = []

    def opened(url, **options):
        page = context.new_page() if not options else chromium.new_context(**options).new_page()
        page.on("pageerror", lambda error: "server does not answer" in str(error) or errors.append(str(error)))
        page.on("console", lambda message: "Content Security" in message.text and errors.append(message.text))
        page.goto(url)
        return page

    yield opened
    context.close()
    assert errors == []


@pytest.fixture
def survey(three_kinds, tmp_path):
    """Arguments of a server over sixty galaxies of three kinds, far apart, and the folder of what is judged."""
    store, catalog, images = three_kinds
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    out = tmp_path / "judged"
    return {"store": store.folder, "catalog": tmp_path / "catalog.csv", "images": images, "out": out}, catalog, out


def tab(page, name):
    page.get_by_role("navigation", name="Views").get_by_role("link", name=name, exact=True).click()


def press(page, keys):
    """Types keys, each after the picture of the previous galaxy is gone; returns the galaxies in order."""
    seen = []
    for key in keys:
        expect(page.locator(".judge img.subject")).to_be_visible()
        seen.append(page.locator(".judge").get_attribute("data-galaxy"))
        page.keyboard.press(key)
        expect(page.locator(".judge")).not_to_have_attribute("data-galaxy", seen[-1])
    return seen


def saved(page):
    """Waits until the browser has sent all judgements."""
    waiting = "Object.keys(localStorage).filter((key) => /^morphtools:.*-[0-9a-f]{32}$/.test(key)).length"
    for _ in range(400):  # not `wait_for_function`, which the policy of the page forbids
        if page.evaluate(waiting) == 0:
            return
        page.wait_for_timeout(50)
    raise AssertionError("judgements are still in the browser after 20 s")


def corners(page, ids):
    """A box on the screen (px) around galaxies of the map, at the positions that the server gives."""
    canvas = page.locator("canvas")
    view = {name: float(value) for name, value in re.findall(r"(\b[xyw])=([-\d.e]+)", page.url.split("#")[1])}
    box = canvas.bounding_box()
    unit = view["w"] / box["width"]
    places = [
        page.evaluate("(id) => fetch('api/place?id_str=' + id).then((answer) => answer.json())", one) for one in ids
    ]
    across = [box["x"] + box["width"] / 2 + (place["x"] - view["x"]) / unit for place in places]
    down = [box["y"] + box["height"] / 2 - (place["y"] - view["y"]) / unit for place in places]
    return min(across), max(across), min(down), max(down)


def settled(page, ids):
    """Their corners, once the map stands still."""
    page.wait_for_timeout(300)  # it is drawn again when nothing has moved for 25 ms
    page.wait_for_load_state("networkidle")
    return corners(page, ids)


def rectangle(left, right, top, bottom, margin=6):
    left, right, top, bottom = left - margin, right + margin, top - margin, bottom + margin
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def drag(page, path):
    page.mouse.move(*path[0])
    page.mouse.down()
    for place in path[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def drop(target, path):
    """Drops a file from the desktop on an element."""
    made = """([name, bytes]) => {
        const dropped = new DataTransfer();
        dropped.items.add(new File([new Uint8Array(bytes)], name));
        return dropped;
    }"""
    dropped = target.page.evaluate_handle(made, [path.name, list(path.read_bytes())])
    target.dispatch_event("dragover", {"dataTransfer": dropped})
    target.dispatch_event("drop", {"dataTransfer": dropped})


def ids_of(path):
    return set(pd.read_csv(path, dtype=str)["id_str"])


def ratings_of(out):
    table = Ratings(out / "anomalies" / "ratings.sqlite").current()
    return dict(zip(table["id_str"], table["rating"], strict=True))


def labels_of(page, name):
    """The table of labels, as the page's link gives it; galaxies that somebody is unsure about have an empty cell."""
    text = page.evaluate("(name) => fetch(`api/labels/${name}.csv`).then((answer) => answer.text())", name)
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    return {one: label for one, label in zip(table["id_str"], table[name], strict=True) if label}


def test_what_a_person_selects_rates_and_labels_is_in_the_files(survey, open_page):
    arguments, catalog, out = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(server.url)
        expect(page.get_by_text("60 galaxies in view")).to_be_visible()
        disks = set(catalog.loc[catalog["kind"] == "disk", "id_str"])
        page.keyboard.press("-")
        page.keyboard.press("-")
        page.mouse.move(*settled(page, ["g00"])[::2])
        expect(page.locator(".hover")).to_contain_text("g00")
        page.get_by_role("button", name="Lasso").click()
        drag(page, rectangle(*settled(page, disks)))
        expect(page.get_by_text("20 galaxies selected")).to_be_visible()
        page.mouse.wheel(0, -400)  # zooming never changes a selection
        page.get_by_label("Name of the selection").fill("disks")
        page.get_by_role("button", name="Save selection").click()
        expect(page.get_by_text("20 galaxies in ")).to_be_visible()
        assert ids_of(out / "selections/disks.csv") == disks

        tab(page, "Rate")
        first, second, third = press(page, "503")
        page.keyboard.press("u")
        page.keyboard.press("4")
        saved(page)
        assert ratings_of(out) == {first: 5, second: 0, third: 4}

        tab(page, "Label")
        page.get_by_role("button", name="Begin").click()
        yes, no, _ = press(page, "yns")
        saved(page)
        assert labels_of(page, "ring") == {yes: "yes", no: "no"}
        assert ids_of(out / "labels/ring.csv") >= {yes, no}


TABS = ("Map", "Gallery", "Similar", "Rate", "Label", "Clusters")
NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, canvas, img")]
    .filter((one) => !one.hidden && !one.ariaLabel && one.alt === undefined && !one.textContent.trim())
    .filter((one) => !one.labels?.length)
    .map((one) => one.outerHTML)"""


def test_every_view_fits_a_phone_and_names_its_controls(survey, open_page):
    arguments, _, _ = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(server.url, viewport={"width": 390, "height": 780}, color_scheme="dark", has_touch=True)
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        for name in TABS:
            tab(page, name)
            expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            assert page.evaluate(NAMELESS) == [], name


@pytest.mark.slow
def test_a_keyboard_alone_suffices(survey, open_page):
    arguments, _, _ = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(server.url)
        expect(page.get_by_text("60 galaxies in view")).to_be_visible()
        page.keyboard.press("b")
        expect(page.get_by_text("60 galaxies selected")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_text("galaxies selected")).to_be_hidden()
        page.get_by_role("link", name="Gallery").focus()
        page.keyboard.press("Enter")
        page.locator(".picture").first.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_contain_text("smooth_fraction")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.get_by_role("link", name="Similar").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Name of a galaxy, or a position").focus()
        page.keyboard.type("g07")
        page.keyboard.press("Enter")
        expect(page.locator(".tile.plus")).to_have_attribute("data-id", "g07")


@pytest.mark.slow
def test_back_and_a_reload_show_what_was_shown(survey, open_page):
    arguments, _, _ = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(f"{server.url}#gallery?set=all&sort=smooth_fraction&descending=1&where=kind = elliptical")
        expect(page.locator(".tile")).to_have_count(20)
        first = page.locator(".tile").first.get_attribute("data-id")
        page.locator(".picture").first.click()
        page.get_by_role("button", name="Find similar").click()
        expect(page.locator(".tile.plus")).to_have_attribute("data-id", first)
        page.reload()
        expect(page.locator(".tile.plus")).to_have_attribute("data-id", first)
        page.go_back()
        expect(page.locator(".tile").first).to_have_attribute("data-id", first)
        for nowhere in ("x=abc&y=1&w=1", "x=0&y=0&w=0", "x=1e9&y=0&w=1"):
            page.goto("about:blank")
            page.goto(f"{server.url}#map?{nowhere}")
            expect(page.get_by_text("60 galaxies in view")).to_be_visible()


ROLES = {"button", "link", "textbox", "combobox", "checkbox", "slider", "spinbutton", "searchbox", "image", "dialog"}
NUMBERED = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter((one) => one.checkVisibility() && !one.disabled)
    .map((one, i) => { one.dataset.turn = i; return one.outerHTML; })"""


@pytest.mark.slow
def test_the_tab_key_visits_every_control_in_order_and_each_has_a_name_for_screen_readers(survey, open_page, tmp_path):
    arguments, _, _ = survey
    import morphtools

    morphtools.cluster(arguments["store"], clusters=2, out=tmp_path / "clusters")
    with serve(**arguments, clusters=tmp_path / "clusters", block=False, announce=lambda _: None) as server:
        page = open_page(f"{server.url}#map?colour=kind")
        expect(page.get_by_text("elliptical")).to_be_visible()  # by now the catalogue was read
        page.close()
        for name in ("map", "gallery?where=id_str contains g1", "similar?like=g01&n=24", "rate", "label", "clusters"):
            page = open_page(f"{server.url}#{name}")
            expect(page.locator("main button").first).to_be_visible()
            page.wait_for_load_state("networkidle")
            nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
            named = [(node["role"]["value"], node["name"]["value"].strip()) for node in nodes if not node["ignored"]]
            assert [role for role, text in named if role in ROLES and not text] == [], name
            assert len([role for role, _ in named if role in ROLES]) > 12
            page.evaluate("document.activeElement.blur()")
            controls = page.evaluate(NUMBERED)
            visited = []
            for _ in range(len(controls) + 1):
                page.keyboard.press("Tab")
                visited.append(page.evaluate("document.activeElement.dataset.turn"))
            turns = [int(turn) for turn in visited if turn is not None]
            missed = [controls[i] for i in set(range(len(controls))) - set(turns)]
            assert turns[: len(controls)] == list(range(len(controls))), (name, missed, turns)
            page.close()


@pytest.mark.slow
def test_clusters_are_merged_and_thrown_out_as_artefacts(survey, open_page, tmp_path):
    arguments, _, out = survey
    import morphtools

    folder = tmp_path / "clusters"
    morphtools.cluster(arguments["store"], clusters=3, out=folder)
    members = pd.read_parquet(folder / "galaxies.parquet").groupby("cluster")["id_str"].agg(set)
    with serve(**arguments, clusters=folder, block=False, announce=lambda _: None) as server:
        page = open_page(f"{server.url}#clusters")
        for number in (0, 2):
            page.locator(".cluster").nth(number).get_by_role("checkbox").check()
        page.get_by_label("Name for the ticked clusters").fill("galaxies")
        page.get_by_role("button", name="Merge").click()
        page.locator(".cluster").nth(1).get_by_role("button", name="Artefacts").click()
        expect(page.locator(".cluster.artefact")).to_have_count(1)
        saved(page)
        names = pd.read_csv(out / "cluster-names.csv").set_index("cluster")["name"]
        assert names.to_dict() == {0: "galaxies", 2: "galaxies"}
        assert ids_of(out / "artifacts.csv") == members[1]
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".cluster.artefact")).to_have_count(0)
        saved(page)
        assert ids_of(out / "artifacts.csv") == set()
        tab(page, "Gallery")
        page.get_by_label("Set of galaxies").select_option("artefacts")
        expect(page.get_by_text("This set is empty.")).to_be_visible()


@pytest.mark.slow
def test_two_fingers_zoom_the_map_around_the_place_between_them(survey, open_page):
    arguments, _, _ = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(server.url, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
        expect(page.get_by_text("60 galaxies in view")).to_be_attached()
        touch = page.context.new_cdp_session(page)

        def send(kind, *places):
            points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        box = page.locator("canvas").bounding_box()
        x, y = box["x"] + 120, box["y"] + 300

        def under():
            page.wait_for_timeout(300)
            left, _, top, _ = corners(page, ["g07"])
            width = float(re.search(r"w=([-\d.e]+)", page.url)[1])
            return (left - x) * width, (top - y) * width, width

        before = under()
        send("touchStart", (x - 20, y), (x + 20, y))
        for step in range(1, 6):
            send("touchMove", (x - 20 - 6 * step, y), (x + 20 + 6 * step, y))
        send("touchEnd")
        after = under()
        assert after[2] == pytest.approx(before[2] * 40 / 100, rel=0.02)  # fingers 40 px apart, then 100
        assert after[:2] == pytest.approx(before[:2], abs=2 * before[2])  # in px × width: within 2 px
        expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.slow
def test_keys_go_on_while_the_disk_is_full_and_nothing_is_lost(survey, open_page, fill_disk):
    arguments, _, _ = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(f"{server.url}#label")
        page.get_by_role("button", name="Begin").click()
        labels = dict(zip(press(page, "y"), ["yes"], strict=True))
        saved(page)
        fill_disk(True)
        for _ in range(39):
            labels |= dict(zip(press(page, "n"), ["no"], strict=True))
        expect(page.locator("#unsent")).to_contain_text("not saved yet")
        expect(page.get_by_role("alert")).to_contain_text("The disk is full and this was not stored. Free some space")
        fill_disk(False)
        saved(page)
        expect(page.locator("#unsent")).to_be_empty()
        assert labels_of(page, "ring") == labels and len(labels) == 40


@pytest.mark.slow
def test_where_two_people_disagree_a_key_settles_it(survey, open_page):
    arguments, _, _ = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(f"{server.url}#label?from=set&set=all")
        page.get_by_role("button", name="Begin").click()
        assert press(page, "yyn") == ["g00", "g01", "g02"]
        saved(page)
        page.get_by_label("You are").fill("bob")
        page.keyboard.press("Tab")
        expect(page.locator(".judge")).to_have_attribute("data-galaxy", "g00")
        page.locator("main").click(position={"x": 5, "y": 5})
        assert press(page, "yny") == ["g00", "g01", "g02"]
        saved(page)
        page.get_by_label("Which galaxies come").select_option("contested")
        expect(page.locator(".grid .tile")).to_have_count(2)
        expect(page.locator(".tile").first).to_contain_text("me: yes, bob: no")
        page.locator("main").click(position={"x": 5, "y": 5})
        assert press(page, "n") == ["g01"]
        saved(page)
        expect(page.locator(".grid .tile")).to_have_count(1)
        assert labels_of(page, "ring") == {"g00": "yes", "g01": "no"}
        page.keyboard.press("u")
        saved(page)
        assert labels_of(page, "ring") == {"g00": "yes"}


@pytest.mark.slow
def test_a_map_is_made_from_a_page_without_one(survey, open_page):
    arguments, _, out = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        page = open_page(server.url)
        page.get_by_role("button", name="Make a map").click()
        expect(page.get_by_role("button", name="Make a map")).to_be_hidden(timeout=400_000)
        expect(page.get_by_text("60 galaxies in view")).to_be_visible()
        places = pd.read_parquet(out / "map/map.parquet").set_index("id_str")
        (told,) = [page.evaluate("() => fetch('api/place?id_str=g07').then((answer) => answer.json())")]
        assert (told["x"], told["y"]) == pytest.approx(tuple(places.loc["g07", ["x", "y"]]), rel=1e-5)


def started(arguments, *more):
    """A server in a process of its own, and its address."""
    flags = [f"--{name}={value}" for name, value in arguments.items() if name != "store"]
    command = [sys.executable, "-m", "morphtools", "explore", str(arguments["store"]), "--no-browser", *flags, *more]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for line in process.stdout:
        if address := re.search(r"http://\S+", line):
            return process, address[0]
    raise AssertionError(f"the server ended with {process.wait()}")


@contextlib.contextmanager
def ended(processes):
    yield
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_nothing_that_was_judged_is_lost_when_the_server_is_killed(survey, open_page):
    arguments, _, out = survey
    processes, expected = [], {}
    with ended(processes):
        process, url = started(arguments)
        processes.append(process)
        page = open_page(f"{url}#rate")
        for _ in range(3):
            expected |= dict(zip(press(page, "5"), [5], strict=True))
            os.kill(processes[-1].pid, signal.SIGKILL)
            processes[-1].wait()
            expected |= dict(zip(press(page, "30"), [3, 0], strict=True))  # nobody answers, and keys are still accepted
            expect(page.get_by_text("not saved yet")).to_be_visible()
            process, again = started(arguments)
            processes.append(process)
            assert again == url  # a tab that stayed open continues
            saved(page)
            assert ratings_of(out) == expected


@pytest.mark.slow
def test_two_tabs_and_two_people_lose_nothing(survey, open_page):
    arguments, _, out = survey
    with serve(**arguments, block=False, announce=lambda _: None) as server:
        pages = [open_page(f"{server.url}#rate") for _ in range(2)]
        pages[1].get_by_label("You are").fill("ann")
        pages[1].keyboard.press("Tab")
        given = []
        for _ in range(5):
            for rater, page in zip(("me", "ann"), pages, strict=True):
                given += [(rater, one) for one in press(page, "4")]
        for page in pages:
            saved(page)
        history = Ratings(out / "anomalies" / "ratings.sqlite").history()
        assert set(zip(history["rater"], history["id_str"], strict=True)) == set(given) and len(given) == 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Rings and smooth galaxies of the simulated sky, represented by the smallest weights."""
    import morphtools

    folder = tmp_path_factory.mktemp("browser")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.chdir(folder)  # commands on the page have short paths, as a user's would
    options = {"bands": "gri", "image_size": 128, "field_radii": 8, "magnitude_limit": 15.5}
    options["fractions"] = {"ring": 0.3, "merger": 0.06}
    sky = morphtools.simulate_survey("survey", galaxies=1500 if SCREENSHOTS else 160, seed=3, **options)
    where = {"catalog": "survey/catalog.csv", "images": "survey"}
    morphtools.represent("efficientnet_lite0_gz2", "galaxies", **where)
    if SCREENSHOTS:
        morphtools.make_map("galaxies", out="map", **where)
        where["map"] = "map"
    yield {"store": "galaxies", **where, "weights": "efficientnet_lite0_gz2"}, sky, folder
    monkeypatch.undo()


def shot(page, name, tmp_path):
    """A picture of the page, for the tutorial where that is being made."""
    asked, before = "performance.getEntriesByType('resource').length", -1
    while SCREENSHOTS and (now := page.evaluate(asked)) != before:  # until no more pictures come
        before = now
        page.wait_for_timeout(2000)
    page.screenshot(path=Path(SCREENSHOTS or tmp_path) / f"{name}.jpg", type="jpeg", quality=82)


@pytest.mark.slow
def test_a_search_gives_labels_and_the_labels_a_network_with_a_report(trained, open_page, tmp_path):
    arguments, sky, folder = trained
    ring = sky.set_index("id_str")["true_ring"] > 0
    out = Path("judged")
    with serve(**arguments, out=out, block=False, announce=lambda _: None) as server:
        page = open_page(server.url)
        expect(page.get_by_text(f"{len(sky):,} galaxies in view")).to_be_visible()
        page.get_by_label("Colour by").select_option("redshift", timeout=120_000)
        expect(page.locator(".ramp")).to_be_visible()
        expect(page.get_by_text(f"{len(sky):,} galaxies in view")).to_be_visible()
        page.get_by_role("button", name="Pictures").click()
        expect(page.get_by_role("button", name="Pictures")).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_text(f"{len(sky):,} galaxies in view")).to_be_visible()
        if SCREENSHOTS:
            places = pd.read_parquet("map/map.parquet")[["x", "y"]]
            x, y = places.median()
            page.goto(f"{server.url}#map?pictures=1&colour=redshift&x={x}&y={y}&w={0.5 * np.ptp(places['x'])}")
        shot(page, "map", tmp_path)

        tab(page, "Similar")
        clear = sky[sky["true_artifact"] == "none"].eval("true_ring_fraction * true_cos_inclination").idxmax()
        example = str(sky.loc[clear, "id_str"])
        image = folder / "survey" / sky.set_index("id_str").loc[example, "file_loc"]
        page.get_by_label("Image file").set_input_files(image)
        nearest = page.get_by_label("Galaxies").last.locator(".tile").first
        expect(nearest).to_have_attribute("data-id", example)  # nothing is nearer to a picture than its own galaxy
        page.get_by_role("button", name="Remove your picture").click()
        expect(page.get_by_text("What are you looking for?")).to_be_visible()
        drop(page.locator(".view"), image)
        expect(nearest).to_have_attribute("data-id", example)
        page.get_by_role("button", name="Remove your picture").click()
        expect(page.get_by_text("What are you looking for?")).to_be_visible()
        page.get_by_label("Name of a galaxy, or a position").fill(example)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("48 galaxies, nearest first")).to_be_visible()
        nearest.hover()
        shot(page, "similar", tmp_path)
        page.get_by_role("button", name="Label them").click()
        page.get_by_role("button", name="Begin").click()
        tab(page, "Label")
        expect(page.get_by_label("Which galaxies come")).to_have_value("random")
        page.wait_for_load_state("networkidle")
        labels = {}
        for _ in range(100 if SCREENSHOTS else 40):
            expect(page.locator(".judge img.subject")).to_be_visible()
            galaxy = page.locator(".judge").get_attribute("data-galaxy")
            labels[galaxy] = "yes" if ring[galaxy] else "no"
            press(page, labels[galaxy][0])
        saved(page)
        expect(page.get_by_role("button", name="Fine-tune")).to_be_enabled()
        shot(page, "label", tmp_path)
        assert labels_of(page, "ring") == labels
        page.get_by_role("button", name="Fine-tune").click()
        expect(page.get_by_text("Done in")).to_be_visible(timeout=300_000)
        expect(page.locator(".report")).to_contain_text("accuracy")
        page.locator(".report img").first.scroll_into_view_if_needed()
        expect(page.locator(".report img").first).to_have_js_property("complete", True)
        shot(page, "report", tmp_path)
        tab(page, "Clusters")
        page.get_by_label("Number of clusters").fill("6")
        page.get_by_role("button", name="Make clusters").click()
        page.get_by_label("Name of cluster 0").fill("smooth")
        page.keyboard.press("Enter")
        saved(page)
        names = pd.read_csv(out / "cluster-names.csv")
        assert names.set_index("cluster")["name"].dropna().to_dict() == {0: "smooth"}
        shot(page, "clusters", tmp_path)
        tab(page, "Rate")
        press(page, "0015")
        saved(page)
        shot(page, "rate", tmp_path)
