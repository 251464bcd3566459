"""HTML becomes the Markdown that a person would copy from the page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.html_page import to_markdown

_STORY = "<p>The pool opens at seven on weekdays and at nine on Sundays.</p>"
_PLAIN = "The pool opens at seven on weekdays and at nine on Sundays."


@pytest.mark.parametrize(
    "chrome",
    [
        "<nav>Home | About</nav>",
        "<header>ACME</header>",
        "<footer>All rights reserved</footer>",
        "<aside>Popular posts</aside>",
        '<div class="header"><a href="a.html">Previous</a></div>',
        '<div class="nav-panel"><a href="a.html">Next</a></div>',
        '<div role="navigation">Next</div>',
        '<ul class="breadcrumbs"><li>Home</li></ul>',
        '<div id="sidebar">Links</div>',
        '<div class="cookie-notice">We use cookies</div>',
        "<p hidden>later</p>",
        '<p style="display: none">later</p>',
        '<span aria-hidden="true">x</span>',
        "<script>run()</script><style>p {}</style><noscript>Enable it</noscript><template>t</template>",
        "<select><option>English</option></select><button>Search</button><textarea>x</textarea>",
        "<svg><text>icon</text></svg><iframe>frame</iframe>",
        "<!-- a comment -->",
        "<dialog>Subscribe!</dialog>",
    ],
)
def test_what_surrounds_the_text_is_left_out(chrome: str) -> None:
    assert to_markdown(f"<body>{chrome}{_STORY}</body>").markdown == _PLAIN


def test_the_main_part_is_taken_with_the_heading_above_it() -> None:
    page = f"<header>ACME<h1>Opening hours</h1></header><div>Share this</div><main>{_STORY}</main><div>Ads</div>"

    assert to_markdown(page).markdown == f"# Opening hours\n\n{_PLAIN}"


def test_a_part_that_holds_little_of_the_text_is_not_taken_for_all_of_it() -> None:
    page = f"<main><p>Short.</p></main>{_STORY}{_STORY}"

    assert to_markdown(page).markdown.count(_PLAIN) == 2


def test_the_header_of_an_article_is_text() -> None:
    page = f"<article><header><h1>Pool</h1><p>By Anna</p></header>{_STORY}<footer>Written in June</footer></article>"

    assert to_markdown(page).markdown == f"# Pool\n\nBy Anna\n\n{_PLAIN}\n\nWritten in June"


def test_a_page_whose_text_is_all_in_what_looks_like_its_surroundings_is_kept() -> None:
    assert to_markdown(f'<div class="sidebar">{_STORY}</div>').markdown == _PLAIN


@pytest.mark.parametrize(
    "name",
    ["div", "p", "section", "main", "address", "figure", "figcaption", "summary", "fieldset", "legend", "center"],
)
def test_blocks_do_not_run_together(name: str) -> None:
    assert to_markdown(f"<{name}>One</{name}><{name}>Two</{name}>", is_page=False).markdown == "One\n\nTwo"


def test_lines_lists_terms_and_quotes_are_kept() -> None:
    page = """<p>One<br>Two</p><ul><li>a<ol><li>b</li></ol></li><li><input type="checkbox" checked>c</li></ul>
    <dl><dt>Owl</dt><dd>A bird.</dd></dl><blockquote><p>Said.</p></blockquote>"""

    assert to_markdown(page).markdown.split("\n\n") == [
        "One\nTwo",
        "- a\n  1. b\n- [x] c",
        "Owl\n:   A bird.",
        "> Said.",
    ]


def test_of_links_and_images_the_words_stay_and_names_are_not_escaped() -> None:
    page = """<h2>Set <code>max_size</code><a class="headerlink" href="#x">¶</a></h2>
    <p>See <a href="https://example.org/a">the *_manual_*</a><img alt="a chart" src="data:image/png;base64,AA"></p>
    """

    assert to_markdown(page).markdown == "## Set `max_size`\n\nSee the *_manual_*a chart"


@pytest.mark.parametrize(
    "code",
    [
        '<pre><code class="language-python">{}</code></pre>',
        '<pre class="lang-python">{}</pre>',
        '<pre class="python example"><code>{}</code></pre>',
        '<div class="highlight-python notranslate"><div class="highlight"><pre>{}</pre></div></div>',
        '<div class="highlight highlight-source-python"><pre>{}</pre></div>',
        '<pre class="brush: python"><span class="linenos">1</span>{}</pre>',
    ],
)
def test_code_is_fenced_with_its_language(code: str) -> None:
    source = "def f():\n    return <span>1</span>"

    assert to_markdown(code.format(source)).markdown == "```python\ndef f():\n    return 1\n```"


def test_code_that_holds_a_fence_has_a_longer_one() -> None:
    assert to_markdown("<pre>a\n```\nb</pre>").markdown == "````\na\n```\nb\n````"


@pytest.mark.parametrize("header", ["<thead>{}</thead>", "<tbody>{}</tbody>", "{}"])
@pytest.mark.parametrize("cell", ["th", "td"])
def test_the_first_row_of_a_table_names_its_columns(header: str, cell: str) -> None:
    first = header.format(f"<tr><{cell}>day</{cell}><{cell}>open</{cell}><{cell}>close</{cell}></tr>")
    table = f"<table>{first}<tr><td>Mon</td><td></td><td>8<br>pm</td></tr><tr><td>Tue | x</td></tr></table>"

    assert to_markdown(table).markdown.split("\n") == [
        "| day | open | close |",
        "| --- | --- | --- |",
        "| Mon |  | 8 pm |",
        "| Tue \\| x |  |  |",
    ]


def test_a_cell_that_spans_others_stands_in_each_of_them() -> None:
    table = """<table><caption>Hours</caption><thead><tr><th rowspan="2">day</th><th colspan="2">time</th></tr>
    <tr><th>open</th><th>close</th></tr></thead>
    <tr><td rowspan="2">Mon</td><td>8</td><td>12</td></tr><tr><td>14</td><td>18</td></tr></table>"""

    assert to_markdown(table).markdown.split("\n") == [
        "Hours",
        "",
        "| day | time / open | time / close |",
        "| --- | --- | --- |",
        "| Mon | 8 | 12 |",
        "| Mon | 14 | 18 |",
    ]


def test_a_table_that_only_arranges_the_page_is_none() -> None:
    inner = "<table><tr><td>day</td><td>open</td></tr><tr><td>Mon</td><td>8</td></tr></table>"
    page = f"<table><tr><td>Left</td><td>{inner}</td></tr></table><table><tr><td>One</td></tr></table>"

    assert to_markdown(page).markdown == "Left\n\n| day | open |\n| --- | --- |\n| Mon | 8 |\n\nOne"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 3000 + _STORY,
        "<b>" * 3000 + _STORY,
        "<nav>" * 2000 + "</nav>" * 2000 + _STORY,
        "<table><tr><td>" * 300 + _STORY,
        f'<table><tr><td colspan="99999" rowspan="65000">{_STORY}</td><td>x</td></tr></table>',
        "<table>" + '<tr><td rowspan="9999" colspan="200">a</td><td>b</td></tr>' * 300 + "</table>" + _STORY,
        "<![CDATA[" + _STORY,
        f"<h1>Owls<main>{_STORY}</main></h1>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]>" + _STORY,
        "&#x110000;&#xd800;\x00" + _STORY,
    ],
)
def test_hostile_pages_are_read_within_bounds(page: str) -> None:
    markdown = to_markdown(page).markdown

    assert "opens at seven" in markdown
    assert len(markdown) < 10_000_000


tags = st.sampled_from(
    [
        "div", "p", "table", "tr", "td", "th", "thead", "ul", "li", "pre", "code", "a", "nav", "main", "br", "span",
        "h1", "dl", "dt", "dd", "img", "input", "details", "caption", "b", "script",
    ]
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(st.tuples(tags, st.sampled_from(["", "/"]), st.sampled_from(["", "word ", "|", "`"])), max_size=30))
def test_any_tags_are_converted(pieces: list[tuple[str, str, str]]) -> None:
    page = "".join(f"<{slash}{name}>{text}" for name, slash, text in pieces)

    assert isinstance(to_markdown(page).markdown, str)


@pytest.mark.slow
@given(st.lists(st.sampled_from(["div", "p", "li", "section", "td", "dd", "h2", "pre"]), min_size=1, max_size=12))
def test_no_word_of_a_text_is_lost(names: list[str]) -> None:
    page = "".join(f"<{name}>word{number}</{name}>" for number, name in enumerate(names))
    markdown = to_markdown(page).markdown

    for number in range(len(names)):
        assert f"word{number}" in markdown.replace("\n", " ").replace("|", " ").split()


def test_elements_end_where_html_lets_their_end_tags_be_left_out() -> None:
    page = (
        "<ul><li>one<ul><li>in<li>ner</ul><li>two</ul><p>First.<p>Second.<dl><dt>Name<dd>Meaning<dt>Other<dd>More</dl>"
    )
    assert to_markdown(page).markdown == (
        "- one\n  - in\n  - ner\n- two\n\nFirst.\n\nSecond.\n\nName\n:   Meaning\n\nOther\n:   More"
    )


def test_a_table_without_end_tags_keeps_its_cells() -> None:
    page = "<table><tr><th>Oven<th>Minutes<tr><td>Gas<td>30<tr><td>Coal<td></table>"
    assert to_markdown(page).markdown == "| Oven | Minutes |\n| --- | --- |\n| Gas | 30 |\n| Coal |  |"


def test_a_row_above_all_columns_is_the_title_of_a_table() -> None:
    page = "<table><tr><td colspan=2>Payments<tr><td>Date<td>Sum<tr><td>May<td>5</table>"
    assert to_markdown(page).markdown == "Payments\n\n| Date | Sum |\n| --- | --- |\n| May | 5 |"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("10<sup>6</sup> people", "10^6 people"),
        ("x<sup>2</sup>", "x^2"),
        ("10<sup>-3</sup>", "10^-3"),
        ("the 5<sup>th</sup>", "the 5th"),
        ("rain.<sup>1</sup>", "rain.[1]"),
        ('Rome<sup><a href="#n">4</a></sup>', "Rome[4]"),
    ],
)
def test_a_power_is_not_joined_to_its_base(html: str, text: str) -> None:
    assert to_markdown(f"<p>{html}</p>").markdown == text


@pytest.mark.parametrize("mark", ['class="pagenum"', 'role="doc-pagebreak"', 'epub:type="pagebreak"'])
def test_the_number_of_a_page_of_the_printed_book_is_left_out(mark: str) -> None:
    assert to_markdown(f"<p>It was <span {mark}>[Pg 5]</span>cold.</p>", is_page=False).markdown == "It was cold."


def test_names_of_groups_of_columns_go_before_the_names_of_the_columns() -> None:
    table = (
        "<table><tr><td>Group</td><td colspan=2>Cells</td></tr><tr><td></td><td>May</td><td>August</td></tr>"
        "<tr><td>Algae</td><td>40</td><td>380</td></tr></table>"
    )

    assert to_markdown(table).markdown.split("\n") == [
        "| Group | Cells / May | Cells / August |",
        "| --- | --- | --- |",
        "| Algae | 40 | 380 |",
    ]


def test_what_a_row_is_called_stands_once_and_what_is_in_several_columns_in_each() -> None:
    table = (
        "<table><tr><td>Item</td><td>Mon</td><td>Tue</td></tr><tr><td>Pool</td><td colspan=2>closed</td></tr>"
        "<tr><td colspan=2>Total</td><td>0</td></tr></table>"
    )

    assert to_markdown(table).markdown.split("\n")[2:] == ["| Pool | closed | closed |", "| Total |  | 0 |"]


def test_lines_of_the_source_are_no_lines_of_the_text() -> None:
    page = "<p>The\n lake was\nsampled.<br>Twice.</p><ul><li>by\nboat</li></ul><pre>a\n  b</pre>"

    assert to_markdown(page).markdown == "The lake was sampled.\nTwice.\n\n- by boat\n\n```\na\n  b\n```"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("340 m<sup>2</sup>", "340 m^2"),
        ("10<sup>-3</sup>", "10^-3"),
        ("x<sup>2</sup> + 3 s<sup>-1</sup>", "x^2 + 3 s^-1"),
        ("per kWh<sup>1</sup> is", "per kWh[1] is"),
        ("the boat.<sup>12</sup>", "the boat.[12]"),
        ("the 1<sup>st</sup>", "the 1st"),
        ('m<sup><a href="#n">2</a></sup>', "m[2]"),
        ('the boat <a class="footnote-reference" href="#n">2</a>.', "the boat [2]."),
        ('the boat<a epub:type="noteref" href="#n">2</a>.', "the boat[2]."),
        ('page <a href="#n">2</a>', "page 2"),
    ],
)
def test_raised_figures_are_powers_after_figures_variables_and_units_and_else_notes(html: str, text: str) -> None:
    assert to_markdown(f"<p>{html}</p>").markdown == text
