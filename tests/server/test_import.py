"""`okaeri import` and `okaeri export`, as a person or a script runs them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = "会員番号,氏名,電話番号\n1001,山田 花子,090-1234-5678\n1002,鈴木,12\n"
ORDERS = "order_id,purchased_at,total,member_number,メモ\nA1,2026-01-02 10:00,1500,1001,x\n"
Okaeri = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def okaeri(database_url: str, tmp_path: Path) -> Okaeri:
    """The command line of a shop, in a folder of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OKAERI_")},
        "OKAERI_DATABASE_URL": database_url,
        "OKAERI_SECRET_KEY": "a-secret-key-for-tests-only",
        "COLUMNS": "200",
    }

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "server", *words], cwd=tmp_path, env=environment, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    environment["PYTHONPATH"] = str(ROOT)
    return run


@pytest.mark.slow
def test_files_go_in_and_come_out_again(okaeri: Okaeri, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(PEOPLE.encode("cp932"))
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")

    wrong = okaeri("import", "customers", "people.csv")
    assert wrong.returncode == 1
    assert "--encoding cp932" in wrong.stderr
    dry = okaeri("import", "customers", "people.csv", "--encoding", "cp932", "--dry-run")
    assert (dry.returncode, "新規 new 1" in dry.stdout) == (1, True)
    assert "変更なし" in dry.stdout
    made = okaeri("import", "customers", "people.csv", "--encoding", "cp932")
    assert made.returncode == 1
    assert "3行目 line 3 3列目 column 3（電話番号）" in made.stderr
    assert "除外 left out 1" in made.stdout

    orders = okaeri("import", "purchases", "orders.csv", "--source", "till")
    assert (orders.returncode, "新規 new 1" in orders.stdout) == (0, True)
    assert "メモ" in orders.stderr
    again = okaeri("import", "purchases", "orders.csv", "--source", "till")
    assert (again.returncode, "変更なし unchanged 1" in again.stdout) == (0, True)

    for kind, holds in (("customers", "山田 花子"), ("purchases", "till,A1,1001")):
        written = okaeri("export", kind, f"out-{kind}.csv")
        assert written.returncode == 0, written.stderr
        file = tmp_path / f"out-{kind}.csv"
        assert holds in file.read_text(encoding="utf-8-sig")
        assert file.stat().st_mode & 0o077 == 0
        assert okaeri("import", kind, file.name).returncode == 0


@pytest.mark.slow
def test_what_cannot_be_imported_is_said_in_a_sentence(okaeri: Okaeri, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("氏名\n花子\n", encoding="utf-8")

    for words, said in (
        (("customers", "nowhere.csv"), "cannot be read"),
        (("customers", "people.csv"), "member_number"),
        (("customers", "people.csv", "--mapping", "nobodys"), "nobodys"),
        (("customers", "people.csv", "--encoding", "euc-jp"), "cp932"),
    ):
        answer = okaeri("import", *words)
        assert answer.returncode == 1
        assert said in answer.stderr
        assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_a_database_that_was_never_used_is_made_ready_first(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("会員番号,氏名\n1001,山田 花子\n", encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OKAERI_")},
        "OKAERI_SECRET_KEY": "a-secret-key-for-tests-only",
        "PYTHONPATH": str(ROOT),
    }

    done = subprocess.run(
        [sys.executable, "-m", "server", "import", "customers", "people.csv"], cwd=tmp_path,
        env=environment, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip

    assert (done.returncode, "新規 new 1" in done.stdout) == (0, True), done.stderr
