"""Notes of the places that a command holds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.lab.leases import Note, holder, left_behind, noting, parse_note
from edgedeploy.paths import STATE_VARIABLE, state_dir
from edgedeploy.progress import SILENT, Progress

WHERE = "lab:20408"
NOTE = Note(coordinator=WHERE, place="door-1", identity="desk/ana", changed=1.5, asked=1.0, pid=os.getpid())

pytestmark = pytest.mark.usefixtures("own_directories")


def kill_holder(note: Note) -> None:
    """Leave a note as a process does that is killed."""
    child = os.fork()
    if child == 0:
        with noting(SILENT) as pen:
            pen.write(note)
            os._exit(9)
    os.waitpid(child, 0)


def files() -> list[Path]:
    return sorted((state_dir() / "places").iterdir())


def test_a_note_lives_as_long_as_its_command() -> None:
    with noting(SILENT) as pen:
        assert holder(WHERE, "door-1") is None, "nothing is acquired yet"
        pen.write(NOTE)
        assert holder(WHERE, "door-1") == os.getpid()
        assert (holder(WHERE, "door-2"), holder("other:1", "door-1")) == (None, None)
        assert list(left_behind(WHERE, "desk/ana")) == []
        assert [path.stat().st_mode & 0o077 for path in files()] == [0]
    assert holder(WHERE, "door-1") is None
    assert files() == []


def test_what_was_left_behind_is_told_once_and_to_whom_it_concerns() -> None:
    other = replace(NOTE, place="door-2", changed=2.5)
    kill_holder(NOTE)
    kill_holder(other)
    assert holder(WHERE, "door-1") is None
    assert list(left_behind(WHERE, "desk/bob")) == []
    assert list(left_behind("other:1", "desk/ana")) == []
    assert {note.place for note in left_behind(WHERE, "desk/ana")} == {"door-1", "door-2"}
    assert list(left_behind(WHERE, "desk/ana")) == []
    assert files() == []


def test_a_release_that_fails_is_tried_again_next_time() -> None:
    kill_holder(NOTE)
    with pytest.raises(KeyboardInterrupt):
        for _ in left_behind(WHERE, "desk/ana"):
            raise KeyboardInterrupt
    assert list(left_behind(WHERE, "desk/ana")) == [NOTE]


def test_the_last_whole_line_is_the_note() -> None:
    asked = replace(NOTE, changed=None)
    with noting(SILENT) as pen:
        pen.write(asked)
        assert parse_note(files()[0].read_text(encoding="utf-8")) == asked
        pen.write(NOTE)
        text = files()[0].read_text(encoding="utf-8")
    assert parse_note(text) == NOTE
    assert parse_note(text[:-5]) == asked, "its end was cut off"


def test_a_note_that_was_only_asked_for_is_of_what_was_acquired_about_then() -> None:
    assert [NOTE.is_of(changed) for changed in (1.5, 1.25, 1.75)] == [True, False, False]
    asked = replace(NOTE, changed=None, asked=1000.0)
    assert [asked.is_of(changed) for changed in (994.0, 996.0, 1000.0, 1034.0, 1036.0)] == [
        *(False, True, True, True, False),
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"place": "door-1"}', b"\xff", b"null", b"[" * 100_000])
def test_notes_that_are_none_are_removed(content: bytes) -> None:
    folder = state_dir() / "places"
    folder.mkdir(parents=True)
    (folder / "damaged.json").write_bytes(content)
    kill_holder(NOTE)
    assert holder(WHERE, "door-1") is None
    assert list(left_behind(WHERE, "desk/ana")) == [NOTE]
    assert files() == []


def test_no_note_where_the_state_directory_cannot_be_written(
    own_directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ear(Progress):
        def say(self, text: str) -> None:
            told.append(text)

    told: list[str] = []
    (own_directories / "file").touch()
    monkeypatch.setenv(STATE_VARIABLE, str(own_directories / "file"))
    with noting(Ear()) as pen:
        pen.write(NOTE)
    assert "no note of the place is kept" in told[0]


def test_a_note_that_goes_meanwhile_is_passed_over() -> None:
    """A link to nothing is listed and cannot be opened: so is a file that is removed in between."""
    kill_holder(NOTE)
    (state_dir() / "places" / "gone.json").symlink_to("nowhere")
    assert holder(WHERE, "door-1") is None
    assert list(left_behind(WHERE, "desk/ana")) == [NOTE]
