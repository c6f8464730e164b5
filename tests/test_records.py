"""Records are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.errors import InputError, StorageError
from layerscope.records import Store, check_writable, content_key, write_whole

FACTS = {"layer": "conv3", "unit": 5, "score": 1.5, "label": "\u202eowl <b>", "ratio": None}
KEY = content_key(**FACTS)


def arrays() -> dict[str, np.ndarray]:
    return {
        "trace": np.linspace(0, 1, 7, dtype=np.float32),
        "picture": np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
        "empty": np.zeros(0, np.uint8),
        "scalar": np.array(3.5),
    }


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- keys


def test_key_is_the_hash_of_the_facts_in_any_order():
    assert content_key(a=1, b=[1, 2]) == content_key(b=[1, 2], a=1)
    assert len({content_key(a=1), content_key(a=2), content_key(b=1), content_key(a="1"), content_key(a=1.0)}) == 5
    assert content_key(a=1) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@pytest.mark.parametrize("fact", [float("nan"), float("inf"), object(), b"bytes", np.float32(1)])
def test_key_refuses_what_is_not_json(fact):
    with pytest.raises(InputError, match=r"facts must be JSON: .*; give text, finite numbers"):
        content_key(fact=fact)


@pytest.mark.parametrize("key", ["", "../" * 20, "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_a_key_that_is_no_key_never_becomes_a_path(tmp_path, key):
    with pytest.raises(InputError, match="is not a record key; keys are 64 hex digits"):
        Store(tmp_path).find(key)


# --- there and back


def test_a_record_comes_back_as_it_was_written(tmp_path):
    written = Store(tmp_path).write(KEY, FACTS, arrays())
    found = Store(tmp_path).find(KEY)
    assert found is not None
    for record in (written, found):
        assert record.key == KEY
        assert record.facts == FACTS
        assert list(record.arrays) == sorted(arrays())
        for name, array in arrays().items():
            np.testing.assert_array_equal(record.arrays[name], array, strict=True)
            assert record.arrays[name].flags.writeable
    assert files(tmp_path) == [f"records/{KEY[:2]}/{KEY}.safetensors"]
    assert Store(tmp_path).keys() == (KEY,)


def test_a_removed_record_is_absent(tmp_path):
    store = Store(tmp_path)
    key, other = content_key(a=1), content_key(a=2)
    store.write(key, {}, {})
    store.write(other, {}, {})
    store.remove(key)
    store.remove(key)
    assert store.keys() == (other,)
    store.path(key).mkdir()
    with pytest.raises(StorageError, match="cannot remove"):
        store.remove(key)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    turned = np.asfortranarray(arrays()["picture"])
    swapped = arrays()["trace"].astype(">f4")
    mixed = dict(reversed({**arrays(), "picture": turned, "trace": swapped}.items()))
    Store(tmp_path / "a").write(KEY, FACTS, arrays())
    Store(tmp_path / "b").write(KEY, dict(reversed(FACTS.items())), mixed)
    assert Store(tmp_path / "a").path(KEY).read_bytes() == Store(tmp_path / "b").path(KEY).read_bytes()


def test_the_file_is_plain_safetensors_with_the_facts_in_its_header(tmp_path):
    import safetensors

    Store(tmp_path).write(KEY, FACTS, arrays())
    with safetensors.safe_open(Store(tmp_path).path(KEY), framework="numpy") as file:
        assert json.loads(file.metadata()["layerscope"])["facts"] == FACTS
        np.testing.assert_array_equal(file.get_tensor("picture"), arrays()["picture"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(facts=st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_comes_back(tmp_path_factory, facts):
    store = Store(tmp_path_factory.mktemp("store"))
    store.write(KEY, facts, {})
    found = store.find(KEY)
    assert found is not None
    assert found.facts == facts


def test_an_array_of_objects_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"arrays cannot be recorded \(words: <U3\).*give numbers or booleans"):
        Store(tmp_path).write(KEY, FACTS, {"words": np.array(["one"])})
    assert files(tmp_path) == []


def test_absent_is_none_and_an_empty_folder_has_no_keys(tmp_path):
    assert Store(tmp_path / "nowhere").find(KEY) is None
    assert Store(tmp_path / "nowhere").keys() == ()
    assert not (tmp_path / "nowhere").exists()


# --- damage


def test_a_record_cut_short_anywhere_is_absent_and_is_made_again(tmp_path):
    store = Store(tmp_path)
    store.write(KEY, FACTS, arrays())
    whole = store.path(KEY).read_bytes()
    for length in range(len(whole)):
        store.path(KEY).write_bytes(whole[:length])
        assert store.find(KEY) is None, length
    store.write(KEY, FACTS, arrays())
    assert store.path(KEY).read_bytes() == whole


def test_a_record_with_any_flipped_bit_is_absent(tmp_path):
    store = Store(tmp_path)
    store.write(KEY, FACTS, arrays())
    whole = store.path(KEY).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        store.path(KEY).write_bytes(bytes(damaged))
        found = store.find(KEY)
        if found is not None:  # a flip may leave the meaning alone (padding), never change it
            assert found.facts == FACTS
            for name, array in arrays().items():
                np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_a_record_under_another_key_is_absent(tmp_path):
    store, other = Store(tmp_path), content_key(other=True)
    store.write(KEY, FACTS, arrays())
    write_whole(store.path(other), store.path(KEY).read_bytes())
    assert store.find(other) is None
    assert store.keys() == tuple(sorted((KEY, other)))


# --- a run that is killed

WRITER = """
import sys
import numpy as np
from layerscope.records import Store, content_key
store = Store(sys.argv[1])
print("ready", flush=True)
for turn in range(100_000):
    key = content_key(unit=turn % 40)
    store.write(key, {"unit": turn % 40, "turn": turn}, {"picture": np.full((256, 256, 3), turn % 251, np.uint8)})
"""


def test_kill_9_in_the_middle_of_writing_leaves_whole_records_only(tmp_path):
    clock, old = random.Random(0), time.time() - 2 * 3600
    kills = unfinished = 0
    while kills < 12 or (unfinished == 0 and kills < 60):
        kills += 1
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(clock.uniform(0.01, 0.12))
            writer.send_signal(signal.SIGKILL)
        assert writer.returncode == -signal.SIGKILL
        for key in Store(tmp_path).keys():  # noqa: SIM118
            record = Store(tmp_path).find(key)
            assert record is not None
            assert (record.arrays["picture"] == record.facts["turn"] % 251).all()
        unfinished += len(list(tmp_path.rglob(".*.partial")))
        for leftover in tmp_path.rglob(".*.partial"):
            os.utime(leftover, (old, old))
    assert unfinished > 0, "no kill fell into a write; this test shows nothing"
    assert len(Store(tmp_path).keys()) > 0
    for unit in range(40):
        Store(tmp_path).write(content_key(unit=unit), FACTS, {})
    assert [name for name in files(tmp_path) if not name.endswith(".safetensors")] == []


def test_an_unfinished_file_of_a_run_that_may_be_alive_is_left_alone(tmp_path):
    young = tmp_path / ".0123456789abcdef.partial"
    young.write_bytes(b"half")
    write_whole(tmp_path / "page", b"whole")
    assert files(tmp_path) == [young.name, "page"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_write_keeps_the_old_file_and_nothing_else(tmp_path, monkeypatch, stop):
    write_whole(tmp_path / "page", b"old")

    def interrupt(*_: Any) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(stop):
        write_whole(tmp_path / "page", b"new")
    assert files(tmp_path) == ["page"]
    assert (tmp_path / "page").read_bytes() == b"old"


# --- a disk that is full


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to write to")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write(KEY, FACTS, arrays())
    opened = Path.open

    def open_full(self: Path, mode: str = "r") -> Any:
        opened(self, mode).close()
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(StorageError, match=r"^cannot write .*: the disk or its quota is full; make room") as full:
        store.write(KEY, {**FACTS, "score": 2.0}, arrays())
    monkeypatch.undo()
    assert "\n" not in str(full.value)
    found = store.find(KEY)
    assert found is not None
    assert found.facts == FACTS
    assert files(tmp_path) == [f"records/{KEY[:2]}/{KEY}.safetensors"]


LIMITED = """
import sys
import numpy as np
from layerscope.errors import StorageError
from layerscope.records import Store, content_key
store = Store(sys.argv[1])
store.write(content_key(unit=0), {"unit": 0}, {"picture": np.zeros((8, 8, 3), np.uint8)})
try:
    store.write(content_key(unit=1), {"unit": 1}, {"picture": np.zeros((256, 256, 3), np.uint8)})
except StorageError as error:
    print(error)
"""


def test_a_write_that_breaks_off_halfway_leaves_nothing(tmp_path):
    def at_most_8_kib() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        preexec_fn=at_most_8_kib,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert "the disk or its quota is full" in run.stdout
    assert Store(tmp_path).keys() == (content_key(unit=0),)
    assert len(files(tmp_path)) == 1


# --- folders that cannot be written


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
@pytest.mark.parametrize("verb", ["write", "read"])
def test_permission_denied_is_one_line(tmp_path, monkeypatch, number, verb):
    store = Store(tmp_path)
    store.write(KEY, FACTS, arrays())

    def deny(self: Path, *_: Any) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "open", deny)
    monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(StorageError, match=rf"^cannot {verb} .*{KEY}.*: permission denied; give another") as error:
        store.find(KEY) if verb == "read" else store.write(KEY, FACTS, arrays())
    assert "\n" not in str(error.value)
    assert len(files(tmp_path)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root; the test above stands in for it")
def test_a_folder_that_is_really_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied"):
        Store(tmp_path).write(KEY, FACTS, arrays())
    tmp_path.chmod(0o700)


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "out").write_text("mine")
    for call in (lambda store: store.write(KEY, FACTS, {}), lambda store: store.find(KEY)):
        for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
            with pytest.raises(StorageError, match=r"out is a file, not a folder; give another folder"):
                call(Store(folder))
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_where_the_file_should_be(tmp_path):
    (tmp_path / "page").mkdir()
    with pytest.raises(StorageError, match="there is a folder of that name"):
        write_whole(tmp_path / "page", b"whole")
    assert files(tmp_path) == []


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(StorageError, match=r"File name too long; give another folder"):
        write_whole(tmp_path / ("a" * 300), b"whole")


def test_new_files_have_the_permissions_of_any_other_new_file(tmp_path):
    write_whole(tmp_path / "deep" / "page", b"whole")
    (tmp_path / "other").touch()
    assert (tmp_path / "deep" / "page").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_can_be_written_is_found_out_and_nothing_is_left(tmp_path):
    check_writable(tmp_path / "new" / "folder" / "file.gif")
    (tmp_path / "old.gif").write_bytes(b"as it was")
    check_writable(tmp_path / "old.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["old.gif"]
    assert (tmp_path / "old.gif").read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("folder", r"cannot write .*folder: there is a folder of that name; give another path or move it away$"),
        ("file/x.gif", r"cannot write .*x\.gif: .*file is a file, not a folder; give another folder"),
        ("file/new/x.gif", r"cannot write .*x\.gif: .*file is a file, not a folder; give another folder"),
        (300 * "n", r"cannot write .*n: File name too long; give another folder$"),
    ],
)
def test_what_cannot_be_written_is_said_as_writing_says_it(tmp_path, place, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for ask in (check_writable, lambda path: write_whole(path, b"x")):
        with pytest.raises(StorageError, match=message):
            ask(tmp_path / place)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_that_may_not_be_written_is_found_before(tmp_path, monkeypatch):
    def refused(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(StorageError, match=r"cannot write .*: permission denied; give another folder or change its"):
        check_writable(tmp_path / "new" / "x.gif")
    assert not list(tmp_path.iterdir())
