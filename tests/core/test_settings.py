"""Settings: what is wrong is one sentence that names the variable and never shows its value."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import SettingsError
from core.settings import PREFIX, SIMULATED_KEY, Settings, load

KEY = "a-secret-key-for-tests-only"

# field, bad value, what the sentence must say
BAD = [
    ("database_url", "mysql://shop:hunter2@db/okaeri", "postgresql+asyncpg"),
    ("database_url", "hunter2.db", "sqlite+aiosqlite:///"),
    ("database_url", "sqlite:hunter2.db", "sqlite+aiosqlite:///"),
    ("database_url", "sqlite://hunter2.db", "three slashes"),
    ("database_url", "sqlite:///:memory:", "file"),
    ("database_url", "sqlite:///", "file"),
    ("database_url", "postgresql://shop:hunter2@db:port/okaeri", "port"),
    ("database_url", "postgresql", "postgresql+asyncpg"),
    ("redis_url", "http://:hunter2@cache", "redis://"),
    ("redis_url", "redis://:hunter2@cache:port/0", "redis://"),
    ("public_url", "shop.example/hunter2", "https://"),
    ("public_url", "https://", "https://"),
    ("line_api_url", "ftp://hunter2", "https://"),
    ("line_data_api_url", "hunter2", "https://"),
    ("line_access_url", "", "https://"),
    ("line_channel_id", "hunter2", "digits"),
    ("line_channel_id", "１２３４５６７８９０", "digits"),
    ("line_channel_id", "1" * 33, "digits"),
    ("secret_key", "hunter2", "too short"),
    ("time_zone", "Asia/Hunter2", "Asia/Tokyo"),
    ("time_zone", "../../etc/hunter2", "Asia/Tokyo"),
    ("time_zone", "", "Asia/Tokyo"),
    ("clock", "hunter2", "'real' or 'simulated'"),
    ("log_level", "hunter2", "'INFO'"),
    ("log_format", "hunter2", "'json' or 'text'"),
    ("allow_http_urls", "hunter2", "boolean"),
]


@pytest.mark.parametrize(("field", "value", "says"), BAD)
def test_a_bad_value_gives_one_sentence_that_names_the_variable_but_not_the_value(
    field: str, value: str, says: str
) -> None:
    given: dict[str, Any] = {"secret_key": KEY} | {field: value}

    with pytest.raises(SettingsError) as caught:
        load(_env_file=None, **given)

    [problem] = caught.value.problems
    assert PREFIX + field.upper() in problem
    assert says in problem
    assert "hunter2" not in problem.lower()
    assert "\n" not in problem


@pytest.mark.parametrize(("field", "value", "_says"), BAD)
def test_a_bad_value_in_the_environment_is_told_like_one_in_the_code(
    field: str, value: str, _says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OKAERI_SECRET_KEY", KEY)
    monkeypatch.setenv(PREFIX + field.upper(), value)

    with pytest.raises(SettingsError, match=PREFIX + field.upper()) as caught:
        load(_env_file=None)

    assert "hunter2" not in str(caught.value).lower()


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(_env_file=None, time_zone="Tokyo/Asia", clock="slow", redis_url="localhost")

    names = {problem.split()[0] for problem in caught.value.problems}
    assert names == {"OKAERI_TIME_ZONE", "OKAERI_CLOCK", "OKAERI_REDIS_URL"}


def test_a_real_shop_needs_a_secret_key_and_a_simulated_one_does_not() -> None:
    with pytest.raises(SettingsError, match="OKAERI_SECRET_KEY is missing"):
        load(_env_file=None)

    assert load(_env_file=None, clock="simulated").key == SIMULATED_KEY


def test_a_channel_without_its_secret_is_refused() -> None:
    with pytest.raises(SettingsError, match="OKAERI_LINE_CHANNEL_SECRET is missing"):
        load(_env_file=None, secret_key=KEY, line_channel_id="1234567890")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///shop.db", "sqlite+aiosqlite:///shop.db"),
        ("sqlite+aiosqlite:////var/shop.db", "sqlite+aiosqlite:////var/shop.db"),
        ("postgres://u:p@db/okaeri", "postgresql+asyncpg://u:p@db/okaeri"),
        ("postgresql://u:p@db:5432/okaeri", "postgresql+asyncpg://u:p@db:5432/okaeri"),
        ("postgresql+asyncpg://db/okaeri", "postgresql+asyncpg://db/okaeri"),
    ],
)
def test_a_database_url_of_another_habit_is_understood(given: str, kept: str) -> None:
    assert load(_env_file=None, secret_key=KEY, database_url=given).database_url == kept


def test_an_env_file_that_is_not_utf8_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes("OKAERI_SECRET_KEY=hunter2 # 秘密".encode("cp932"))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError, match="UTF-8") as caught:
        load()

    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    settings = load(
        _env_file=None,
        secret_key="hunter2-hunter2-hunter2",
        line_channel_id="1234567890",
        line_channel_secret="hunter2",
        line_channel_access_token="hunter2",
    )

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
