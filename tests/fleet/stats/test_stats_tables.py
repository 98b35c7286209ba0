"""Every format says the same, and nothing from outside acts in it."""

from __future__ import annotations

import re

import orjson
import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.fleet.layout import markdown_text
from scanner.fleet.stats.prometheus import as_prometheus, prometheus_label
from scanner.fleet.stats.run_counts import RunCounts
from scanner.fleet.stats.stats_tables import FORMATS, as_json, as_markdown, as_table
from scanner.model.findings import CAUSES
from tests.fleet.stats.test_run_counts import FLEET, finding, fold

EVIL = '\x1b[31m|<script>alert(1)</script>\n"q"\\ `x` [l](http://a.example) @all \u202e'


def test_the_text_table() -> None:
    stats = fold(FLEET, "owner")
    stats.unreadable_lines += 1
    assert as_table(stats).splitlines() == [
        "4 findings: 1 ok, 1 warn, 1 fail, 1 invalid; 1 unreadable lines",
        "",
        "cause                   targets   share  primary  codes",
        "----------------------  -------  ------  -------  -----",
        "expired-or-self-signed        2  50.0 %        1  certificate-expired 1, expires-soon 1",
        "hostname-mismatch             1  25.0 %        0  wildcard-depth 1",
        "",
        "owner   targets  ok  warn  fail  invalid  failing  most frequent causes",
        "------  -------  --  ----  ----  -------  -------  --------------------",
        "web           2   1     1     0        0    0.0 %  expired-or-self-signed 1",
        "(none)        1   0     0     0        1    0.0 %",
        "mail          1   0     0     1        0  100.0 %  expired-or-self-signed 1, hostname-mismatch 1",
    ]


def test_every_format_prints_empty_statistics() -> None:
    for render in FORMATS.values():
        assert render(RunCounts()).endswith("\n")
    assert "No diagnosis" in as_table(RunCounts())


def test_json_is_the_contract_form() -> None:
    stats = fold(FLEET, "owner")
    assert orjson.loads(as_json(stats)) == orjson.loads(orjson.dumps(stats.to_json()))


def test_prometheus_lines_are_well_formed() -> None:
    text = as_prometheus(fold([*FLEET, finding(owner=EVIL)], "owner"))
    sample = re.compile(r'[a-z_]+(\{[a-z]+="([^"\\\n]|\\[\\"n])*"(,[a-z]+="([^"\\\n]|\\[\\"n])*")*\})? \d+')
    lines = text.rstrip("\n").split("\n")
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    for cause in CAUSES:
        assert f'tlsweep_cause_targets{{cause="{cause}"}}' in text
    assert 'tlsweep_findings{outcome="fail"} 1' in lines
    assert 'tlsweep_group_findings{column="owner",value="web",outcome="warn"} 1' in lines


@pytest.mark.parametrize(("text", "label"), [('a"b\\c\nd', 'a\\"b\\\\c\\nd'), ("\ud800", "?"), ("ü", "ü")])
def test_prometheus_labels(text: str, label: str) -> None:
    assert prometheus_label(text) == label


def test_markdown_cells_show_as_themselves() -> None:
    text = as_markdown(fold([finding(owner=EVIL)], "owner"))
    assert "\x1b" not in text and "<script" not in text and "\u202e" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for row in rows:
        bare = row.replace("\\\\", "").replace("\\|", "")
        assert bare.count("|") in (6, 9)
    assert markdown_text("a|b") == "a\\|b"
    assert markdown_text("<b>&") == "&lt;b&gt;&amp;"
    assert "@all" not in text and "](" not in text


def test_a_table_never_acts_on_the_terminal() -> None:
    text = as_table(
        fold([finding("fail", f"{EVIL}/{EVIL}".replace("//", "").replace("</script>", ""), owner=EVIL)], "owner")
    )
    assert all(line.isprintable() for line in text.splitlines())


def test_long_lists_go_on_below() -> None:
    codes = sorted(code.code for code in CODES.values() if code.cause == "chain-validation")
    text = as_table(fold([finding("fail", f"chain-validation/{code}") for code in codes]))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120 and len(lines) > 6
    column = lines[2].index("codes")
    listed = " ".join(line[column:] for line in lines[4:]).split(", ")
    assert listed == [f"{code} 1" for code in codes]


def test_many_groups_are_cut_for_people() -> None:
    stats = fold([finding(owner=f"o{number}") for number in range(80)], "owner")
    assert "and 30 smaller groups" in as_table(stats) and "and 30 smaller groups" in as_markdown(stats)
    assert as_prometheus(stats).count('outcome="ok"') == 81


def test_wide_characters_keep_columns_aligned() -> None:
    text = as_table(fold([finding(owner="書店"), finding(owner="shop")], "owner"))
    assert "\n書店         1 " in text and "\nshop         1 " in text
