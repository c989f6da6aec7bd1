"""The command line. Exit codes: 0 done, 1 something is wrong and said so, 2 wrong usage."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import uvloop
from rich.console import Console

from core import logs
from core.errors import Invalid, OkaeriError
from core.settings import Settings, load

app = typer.Typer(
    name="okaeri",
    help="Okaeri（おかえり）: お客さまが帰ってくるLINE公式アカウント / a LINE marketing server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
token_app = typer.Typer(help="管理APIのトークン / Tokens of the admin API.", no_args_is_help=True)
flows_app = typer.Typer(help="シナリオのファイル / Flow files.", no_args_is_help=True)
replies_app = typer.Typer(help="自動応答のファイル / Text rule files.", no_args_is_help=True)
import_app = typer.Typer(help="CSVの取り込み / CSV files in.", no_args_is_help=True)
export_app = typer.Typer(help="CSVの書き出し / CSV files out.", no_args_is_help=True)
app.add_typer(token_app, name="token")
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")
app.add_typer(flows_app, name="flows")
app.add_typer(replies_app, name="replies")

out = Console()
err = Console(stderr=True)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]
PathArgument = Annotated[Path, typer.Argument(help="A file, or a folder of files.")]


def main() -> None:
    """Run the command line; what goes wrong is one sentence on stderr and exit code 1."""
    try:
        app()
    except Invalid as error:
        _say_faults(error)
        sys.exit(1)
    except OkaeriError as error:
        err.print(f"[bold red]okaeri:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    *,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only answer HTTP.")] = False,
    no_clock: Annotated[bool, typer.Option("--no-clock", help="Do not tick here.")] = False,
) -> None:
    """サーバーを起動 / Answer HTTP, work and tick, all in one process."""
    from server import process  # noqa: PLC0415 - the other commands start faster without

    settings = _settings()
    _run(
        process.serve(
            settings, host=host, port=port, with_worker=not no_worker, with_clock=not no_clock
        )
    )


@app.command()
def worker(
    metrics_port: Annotated[
        int, typer.Option(help="Port for Prometheus on 127.0.0.1; 0: none.", min=0, max=65535)
    ] = 0,
) -> None:
    """配信などの処理だけを行う / Work the belts only (with PostgreSQL and Redis)."""
    from server import process  # noqa: PLC0415

    settings = _settings()
    _run(_until_told(lambda stop: process.work(settings, stop=stop, metrics_port=metrics_port)))


@app.command()
def clock() -> None:
    """時刻表だけを動かす / Plan the timetable only (with PostgreSQL and Redis)."""
    from server import process  # noqa: PLC0415

    settings = _settings()
    _run(_until_told(lambda stop: process.tick(settings, stop=stop)))


@app.command()
def migrate() -> None:
    """データベースを最新にする / Bring the database to the newest version."""
    from core.db import Database  # noqa: PLC0415
    from server import migrations  # noqa: PLC0415

    async def run() -> tuple[str | None, str | None]:
        db = Database(_settings())
        try:
            return await migrations.upgrade(db)
        finally:
            await db.close()

    before, after = _run(run())
    out.print(f"Database: {before or 'empty'} → {after}" if before != after else f"Already {after}")


@app.command()
def demo(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    phone_port: Annotated[int, typer.Option(help="Port of the phone.")] = 8001,
    data: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(
        "okaeri-demo"
    ),
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, without old data.")] = False,
) -> None:
    """デモを起動（LINEアカウント不要）/ Run the demo: server, LINE stand-in, phone, sample shop."""
    from server.demo import run_demo  # noqa: PLC0415

    _run(run_demo(host=host, port=port, phone_port=phone_port, folder=data, fresh=fresh))


@app.command()
def check() -> None:
    """設定を点検し、直し方を示す / Check settings, database, LINE; say what to do."""
    from server.checks import report  # noqa: PLC0415

    ok = _run(report(out))
    if not ok:
        raise typer.Exit(1)


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Who uses it, for the audit log.")],
    role: Annotated[str, typer.Option(help="viewer, clerk, marketer or owner.")],
) -> None:
    """トークンを作る（一度だけ表示）/ Make a token; it is printed once, alone on stdout."""
    from server.tasks import create_token  # noqa: PLC0415

    typer.echo(_run(create_token(_settings(), name=name, role=role)))


@flows_app.command("validate")
def flows_validate(path: PathArgument) -> None:
    """ファイルを点検 / Check flow files without saving them."""
    from server.tasks import read_flows  # noqa: PLC0415

    for file, definition in read_flows(path, allow_http=False):
        out.print(f"{file}: ok ({definition.key}, {len(definition.steps)} steps)", highlight=False)


@flows_app.command("apply")
def flows_apply(
    path: PathArgument,
    *,
    draft: Annotated[bool, typer.Option("--draft", help="Save only, do not publish.")] = False,
) -> None:
    """シナリオを保存して公開 / Save flow files and publish them; all or none."""
    from server.tasks import apply_flows  # noqa: PLC0415

    for line in _run(apply_flows(_settings(), path, publish=not draft)):
        out.print(line, highlight=False)


@flows_app.command("export")
def flows_export(path: PathArgument) -> None:
    """シナリオをファイルに書き出す / Write every flow to a folder as YAML."""
    from server.tasks import export_flows  # noqa: PLC0415

    for line in _run(export_flows(_settings(), path)):
        out.print(line, highlight=False)


@replies_app.command("validate")
def replies_validate(path: PathArgument) -> None:
    """ファイルを点検 / Check text rule files without saving them."""
    from server.tasks import read_rules  # noqa: PLC0415

    for file, rules in read_rules(path, allow_http=False):
        out.print(f"{file}: ok ({len(rules)} rules)", highlight=False)


@replies_app.command("apply")
def replies_apply(path: PathArgument) -> None:
    """自動応答を保存 / Save text rule files; all or none. Rules that overlap are reported."""
    from server.tasks import apply_rules  # noqa: PLC0415

    for line in _run(apply_rules(_settings(), path)):
        out.print(line, highlight=False)


Mapping = Annotated[str, typer.Option(help="A saved mapping, or plain, rakuten, yahoo, makeshop, "
                                      "shopify, smaregi, square.")]  # fmt: skip
Encoding = Annotated[str, typer.Option(help="utf-8, cp932 (Shift_JIS) or utf-16.")]
Source = Annotated[str, typer.Option(help="Under which name the file's orders are known.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would come of it.")]
CsvFile = Annotated[Path, typer.Argument(help="A CSV file.")]


@import_app.command("customers")
def import_customers(
    file: CsvFile,
    mapping: Mapping = "plain",
    encoding: Encoding = "",
    source: Source = "",
    *,
    dry_run: DryRun = False,
) -> None:
    """顧客を取り込む / Import members by their numbers; blank cells change nothing."""
    _import("customers", file, mapping, encoding, source, dry_run=dry_run)


@import_app.command("purchases")
def import_purchases(
    file: CsvFile,
    mapping: Mapping = "plain",
    encoding: Encoding = "",
    source: Source = "",
    *,
    dry_run: DryRun = False,
) -> None:
    """購入を取り込む / Import orders by source and order id; again doubles nothing."""
    _import("purchases", file, mapping, encoding, source, dry_run=dry_run)


@export_app.command("customers")
def export_customers(file: CsvFile, encoding: Encoding = "") -> None:
    """会員を書き出す / Write all members to a CSV file that the import reads again."""
    _export("customers", file, encoding)


@export_app.command("purchases")
def export_purchases(file: CsvFile, encoding: Encoding = "") -> None:
    """購入を書き出す / Write all orders to a CSV file that the import reads again."""
    _export("purchases", file, encoding)


def _import(
    kind: Literal["customers", "purchases"], file: Path, mapping: str, encoding: str, source: str,
    *, dry_run: bool,
) -> None:  # fmt: skip
    from server.import_command import Wish, import_file, say  # noqa: PLC0415

    wish = Wish(kind, file, mapping, encoding, source, dry_run)
    report = _run(import_file(_settings(), wish, err))
    say(report, wish, out, err)
    if report.left_out:
        raise typer.Exit(1)


def _export(kind: Literal["customers", "purchases"], file: Path, encoding: str) -> None:
    from server.import_command import Wish, export_file  # noqa: PLC0415

    count = _run(export_file(_settings(), Wish(kind, file, encoding=encoding)))
    out.print(f"{file}: {count:,} 件 records", highlight=False, soft_wrap=True, markup=False)


def _settings() -> Settings:
    settings = load()
    logs.set_up(settings)
    return settings


def _run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _until_told(work: Any) -> None:  # noqa: ANN401
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await work(stop)


def _say_faults(error: Invalid) -> None:
    err.print(f"[bold red]okaeri:[/] {error}", highlight=False, soft_wrap=True)
    for fault in error.faults:
        where = f"{fault.path}: " if fault.path else ""
        err.print(f"  {where}{fault.message}", highlight=False, soft_wrap=True, markup=False)
        if fault.message_ja:
            err.print(f"      {fault.message_ja}", highlight=False, soft_wrap=True, markup=False)
