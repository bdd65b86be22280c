"""What a person sees while a run trains."""

import io
import sys

import pytest

from sciml.train.progress import LineProgress, NoProgress, RichProgress, make_progress

ROW = {"epoch": 3.0, "step": 30.0, "lr": 0.1, "train/loss": 0.5, "val/relative_l2": 0.25}


def test_lines_give_rate_loss_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 102.0, 110.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    progress = LineProgress(every=5.0)
    progress.start(10, 60)
    progress.update(20, 0.7)
    progress.update(30, 0.5)
    progress.epoch(3, ROW)
    progress.stop()
    # 20 steps in 10 seconds, 30 steps to go; the update after two seconds came too early for a line.
    assert capsys.readouterr().err.splitlines() == [
        "step 30/60  2.0 steps/s  loss 0.5  15 s left",
        "epoch 3  train/loss 0.5  val/relative_l2 0.25",
    ]


def test_the_bar_shows_steps_rate_loss_and_the_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = RichProgress()
    progress.start(0, 60)
    progress.update(30, 0.512)
    progress.epoch(3, ROW)
    progress.stop()
    drawn = terminal.getvalue()
    assert all(text in drawn for text in ("30/60", "steps/s", "0.512", "val/relative_l2 0.25"))


def test_a_pipe_gets_lines_a_terminal_a_bar_and_off_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(make_progress(False), NoProgress)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(make_progress(True), LineProgress)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(make_progress(True), RichProgress)
    mine = NoProgress()
    assert make_progress(mine) is mine


def test_the_first_frame_shows_no_number_that_is_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = RichProgress()
    progress.start(0, 60)
    progress.stop()
    assert "nan" not in terminal.getvalue()
    assert "0/60" in terminal.getvalue()


class Full(io.StringIO):
    """A log on a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("make", [LineProgress, RichProgress])
@pytest.mark.parametrize("closed", [True, False])
def test_a_stream_that_cannot_be_written_stops_nothing(
    make: type, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Full()
    if closed:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    progress = make(every=0.0) if make is LineProgress else make()
    progress.start(0, 60)
    progress.update(30, 0.5)
    progress.epoch(3, ROW)
    progress.stop()
    assert isinstance(make_progress(True), LineProgress)
