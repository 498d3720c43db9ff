from polytag.tracking.phase_shades import Span, column, phase_spans


def history_row(epoch, phase, size, frozen=""):
    return {"epoch": str(epoch), "phase": str(phase), "image_size": str(size), "frozen": frozen}


def test_spans_follow_the_phases_that_were_trained():
    rows = [
        history_row(0, 0, 64, "early+late"),
        *(history_row(epoch, 1, 64) for epoch in (1, 2)),
        history_row(3, 2, 96, "early+late"),
    ]

    assert phase_spans(rows) == [Span(0, 1, "64", "early+late"), Span(1, 3, "64", ""), Span(3, 4, "96", "early+late")]


def test_spans_leave_a_gap_where_early_stopping_cut_a_phase():
    rows = [history_row(0, 0, 64), history_row(1, 0, 64), history_row(5, 1, 96)]

    assert [(span.start, span.end) for span in phase_spans(rows)] == [(0, 2), (5, 6)]


def test_a_cell_without_a_number_is_nan():
    values = column([{"a": "1.5"}, {"a": ""}, {}], "a")

    assert values[0] == 1.5
    assert values[1] != values[1] and values[2] != values[2]
